/** AppRole credentials: for workloads one role each, for the broker the role that the bootstrap makes. */
import { z } from 'zod';
import { Secret } from '../broker/domain/secret.ts';
import { BrokerError } from '../broker/errors.ts';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { vaultName } from '../broker/vault/name.ts';
import { brokerRole, type VaultLayout, workloadAppRole } from './layout.ts';
import { configurationStep, type Finding } from './step.ts';

export interface AppRoleCredential {
  /** Names the role; not secret by itself. */
  readonly roleId: string;
  readonly secretId: Secret<string>;
}

const roleIdAnswer = z.object({ role_id: z.string() });
const secretIdAnswer = z.object({ secret_id: z.string() });

/**
 * Makes the AppRole role of a workload, which decides its SPIFFE ID (`workloadSpiffeId`); does nothing where it is as it
 * should be. `cidrs` limits where it may log in from. Throws INVALID_REQUEST for a name that is not plain, ALREADY_EXISTS
 * for the broker's own.
 */
export async function addWorkload(
  vault: VaultConnection,
  layout: VaultLayout,
  name: string,
  options: { readonly cidrs?: readonly string[] } = {},
): Promise<Finding> {
  if (vaultName(name) === brokerRole)
    throw new BrokerError('ALREADY_EXISTS', { detail: `${name} is the broker's role` });
  const step = configurationStep(vault, {
    name: `workload ${name}`,
    path: `auth/${layout.mounts.approle}/role/${name}`,
    fields: () => workloadAppRole(layout, options.cidrs ?? []),
  });
  const finding = await step.inspect();
  if (finding.action !== 'ok') await step.apply();
  return finding;
}

/**
 * Issues a new secret id for a role: `token-broker`, or a workload's name. Earlier ones stay valid until they expire or
 * are destroyed. Throws NOT_FOUND where there is no such role.
 */
export async function issueCredential(
  vault: VaultConnection,
  layout: VaultLayout,
  role: string,
): Promise<AppRoleCredential> {
  const path = `auth/${layout.mounts.approle}/role/${vaultName(role)}`;
  const found = await vault.find(`${path}/role-id`, roleIdAnswer);
  if (!found) throw new BrokerError('NOT_FOUND', { detail: `there is no AppRole role ${role}` });
  const { secret_id } = await vault.write(`${path}/secret-id`, {}, secretIdAnswer);
  return { roleId: found.role_id, secretId: new Secret(secret_id) };
}
