/** AppRole credentials: secret ids of workloads and of the broker. */
import { z } from 'zod';
import { Secret } from '../broker/domain/secret.ts';
import { BrokerError } from '../broker/errors.ts';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { vaultName } from '../broker/vault/name.ts';
import type { VaultLayout } from './layout.ts';

export interface AppRoleCredential {
  /** Names the role; not secret by itself. */
  readonly roleId: string;
  readonly secretId: Secret<string>;
}

/** One whose secret id is opened by the first who has the token, once. */
export interface WrappedCredential {
  readonly roleId: string;
  readonly wrappingToken: Secret<string>;
}

const roleIdAnswer = z.object({ role_id: z.string() });
const secretIdAnswer = z.object({ secret_id: z.string() });

/**
 * Issues a new secret id for a role: `token-broker`, or a workload's name. Earlier ones stay valid until they expire or
 * are destroyed. Throws NOT_FOUND where there is no such role.
 */
export async function issueCredential(
  vault: VaultConnection,
  layout: VaultLayout,
  role: string,
): Promise<AppRoleCredential> {
  const { path, roleId } = await findRole(vault, layout, role);
  const { secret_id } = await vault.write(`${path}/secret-id`, {}, secretIdAnswer);
  return { roleId, secretId: new Secret(secret_id) };
}

/** As `issueCredential`, but nobody sees the secret id before the workload, and the token is good for so many seconds. */
export async function issueWrappedCredential(
  vault: VaultConnection,
  layout: VaultLayout,
  role: string,
  seconds: number,
): Promise<WrappedCredential> {
  const { path, roleId } = await findRole(vault, layout, role);
  return { roleId, wrappingToken: await vault.wrap(`${path}/secret-id`, {}, seconds) };
}

async function findRole(vault: VaultConnection, layout: VaultLayout, role: string) {
  const path = `auth/${layout.mounts.approle}/role/${vaultName(role)}`;
  const found = await vault.find(`${path}/role-id`, roleIdAnswer);
  if (!found) throw new BrokerError('NOT_FOUND', { detail: `there is no AppRole role ${role}` });
  return { path, roleId: found.role_id };
}
