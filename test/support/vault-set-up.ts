import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import { createVaultConnection, type VaultConnection, type VaultSettings } from '../../broker/vault/connection.ts';
import { appRoleLogin, tokenLogin, type VaultLogin } from '../../broker/vault/login.ts';
import { applyBootstrap } from '../../vault-policies/bootstrap.ts';
import { issueCredential } from '../../vault-policies/credentials.ts';
import { brokerRole, layout, type VaultLayout } from '../../vault-policies/layout.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';
import { type SharedVault, useVault } from './vault.ts';

/** A Vault that the bootstrap has set up below a prefix of its own. */
export interface SetUpVault {
  readonly address: string;
  readonly layout: VaultLayout;
  /** With the root token: for setting up and looking, never for what is tested. */
  readonly operator: VaultConnection;
  /** Logs in as the broker does: by AppRole, from files. */
  asBroker(settings?: Partial<VaultSettings>): Promise<VaultConnection>;
  /** Logs in by AppRole as the workload, which must have been added. */
  asWorkload(name: string): Promise<VaultConnection>;
  /** Holds a token with this one policy and nothing else. */
  withPolicy(policy: string): Promise<VaultConnection>;
  /** Such a token, for a program that logs in with it. */
  tokenWithPolicy(policy: string): Promise<Secret<string>>;
}

/** Where the credential files of a role are. */
export interface CredentialFiles {
  readonly roleIdFile: string;
  readonly secretIdFile: string;
}

const tokenAnswer = z.object({ auth: z.object({ client_token: z.string() }) });

/** Lends a Vault with mounts, policies and roles in place: on the test run's server, or on the one given. */
export async function useSetUpVault(
  scope: Scope,
  server?: Pick<SharedVault, 'address' | 'rootToken'> & Partial<Pick<SharedVault, 'prefix'>>,
): Promise<SetUpVault> {
  const { address, rootToken, prefix } = server ? { prefix: 'own', ...server } : await useVault(scope);
  const operator = connect(scope, { address, login: tokenLogin(new Secret(rootToken)) });
  const names = layout({ prefix: `${prefix}-`, trustDomain: 'media.example' });
  await applyBootstrap(operator, names);
  if (!server) atEnd(scope, () => forget(operator, names));

  async function asRole(role: string, settings: Partial<VaultSettings> = {}): Promise<VaultConnection> {
    const files = await credentialFiles(scope, operator, names, role);
    return connect(scope, { address, login: appRoleLogin({ mount: names.mounts.approle, ...files }), ...settings });
  }

  return {
    address,
    layout: names,
    operator,
    asBroker: (settings) => asRole(brokerRole, settings),
    asWorkload: (name) => asRole(name),
    tokenWithPolicy: (policy) => createToken({ address, rootToken }, policy),
    async withPolicy(policy) {
      const token = await createToken({ address, rootToken }, policy);
      return connect(scope, { address, login: tokenLogin(token) });
    },
  };
}

/**
 * Takes the mounts of a layout away again: with each one that is left, every later mount, and every look at what is
 * mounted, takes longer for all the files that use this Vault.
 */
async function forget(operator: VaultConnection, { mounts, identity }: VaultLayout): Promise<void> {
  const { approle, ...engines } = mounts;
  await Promise.all([
    ...Object.values(engines).map((path) => operator.delete(`sys/mounts/${path}`)),
    operator.delete(`sys/auth/${approle}`),
    operator
      .delete(`identity/oidc/role/${identity.role}`)
      .then(() => operator.delete(`identity/oidc/key/${identity.key}`))
      // A test has made another role that uses the key: it stays, and nobody minds.
      .catch(() => undefined),
  ]);
}

/** Makes a token, renewable for a day, with this one policy and nothing else. */
export async function createToken(
  { address, rootToken }: Pick<SharedVault, 'address' | 'rootToken'>,
  policy: string,
): Promise<Secret<string>> {
  const response = await fetch(`${address}/v1/auth/token/create`, {
    method: 'POST',
    headers: { 'X-Vault-Token': rootToken },
    body: JSON.stringify({ policies: [policy], no_default_policy: true, ttl: '24h' }),
  });
  return new Secret(tokenAnswer.parse(await response.json()).auth.client_token);
}

/** Makes a connection that is closed after the scope. */
export function connect(
  scope: Scope,
  settings: Partial<VaultSettings> & { readonly address: string; readonly login: VaultLogin },
): VaultConnection {
  const connection = createVaultConnection({
    clock: { now: () => new Date() },
    random: Math.random,
    deadlineMs: 20_000,
    ...settings,
  });
  atEnd(scope, () => connection.close());
  return connection;
}

/** Issues a credential and writes its two files, as an operator would. */
export async function credentialFiles(
  scope: Scope,
  operator: VaultConnection,
  names: VaultLayout,
  role: string,
): Promise<CredentialFiles> {
  const folder = await useFolder(scope);
  const files = { roleIdFile: join(folder, 'role-id'), secretIdFile: join(folder, 'secret-id') };
  const { roleId, secretId } = await issueCredential(operator, names, role);
  await writeFile(files.roleIdFile, `${roleId}\n`, { mode: 0o600 });
  await writeFile(files.secretIdFile, `${secretId.reveal()}\n`, { mode: 0o600 });
  return files;
}
