import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import type { VaultConnection } from '../../broker/vault/connection.ts';
import { vaultFailureOf } from '../../broker/vault/vault-failure.ts';
import type { VaultLayout } from '../../vault-policies/layout.ts';
import { until } from './poll.ts';

/** Somebody who can log in to Vault. */
export interface Person {
  /** The `sub` of the person's identity tokens: Vault's entity id. */
  readonly subject: string;
  /** A new Vault login, as a person's own. */
  logIn(): Promise<Secret<string>>;
  /** A new identity token: what `vault read identity/oidc/token/ROLE` shows after a login. */
  identityToken(): Promise<string>;
}

const id = z.object({ id: z.string() });
const login = z.object({ auth: z.object({ client_token: z.string() }) });
const identity = z.object({ data: z.object({ token: z.string() }) });
const header = z.object({ kid: z.string() });
const published = z.object({ keys: z.array(header) });

/** The mount that all people log in by. Not `userpass`: computing what hides a password takes Vault longer than all else. */
const people = 'people';

/**
 * Makes a person with a login, an entity of that name, and the groups, which are made as well. `operator` needs the rights
 * of an owner of Vault's identities, in tests the root token's.
 */
export async function createPerson(
  vault: { readonly address: string; readonly operator: VaultConnection; readonly layout: VaultLayout },
  person: { readonly name: string; readonly groups: readonly string[] },
): Promise<Person> {
  const { address, operator, layout } = vault;
  const accessor = await peopleAccessor(operator);
  const role = `auth/${people}/role/${randomBytes(8).toString('hex')}`;
  await operator.write(role, { token_policies: [layout.policies['admin-identity']] });
  const { role_id } = await operator.read(`${role}/role-id`, z.object({ role_id: z.string() }));
  const { secret_id } = await committed(() =>
    operator.write(`${role}/secret-id`, {}, z.object({ secret_id: z.string() })),
  );
  const entity = await operator.write('identity/entity', { name: person.name }, id.nullish());
  const subject = entity?.id ?? (await operator.read(`identity/entity/name/${person.name}`, id)).id;
  await operator.write('identity/entity-alias', { name: role_id, canonical_id: subject, mount_accessor: accessor });
  for (const name of person.groups) await join(operator, name, subject);

  async function logIn(): Promise<Secret<string>> {
    const response = await fetch(`${address}/v1/auth/${people}/login`, {
      method: 'POST',
      body: JSON.stringify({ role_id, secret_id }),
    });
    return new Secret(login.parse(await response.json()).auth.client_token);
  }

  return {
    subject,
    logIn,
    async identityToken() {
      const response = await fetch(`${address}/v1/identity/oidc/token/${layout.identity.role}`, {
        headers: { 'X-Vault-Token': (await logIn()).reveal() },
      });
      const { token } = identity.parse(await response.json()).data;
      await keyIsPublished(address, token);
      return token;
    },
  };
}

/**
 * Writes again where OpenBao could not commit: it tells one of two who write to the same mount at the same time so, and
 * nothing of that one is stored.
 */
async function committed<T>(write: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!vaultFailureOf(error)?.problems.includes('transaction commit failed')) throw error;
    }
  }
}

/** Mounts the login where no other test file has done so yet, and looks up its accessor. */
async function peopleAccessor(operator: VaultConnection): Promise<string> {
  const path = `sys/auth/${people}`;
  const mount = z.object({ accessor: z.string() });
  const found = await operator.read(path, mount).catch(() => undefined);
  if (found) return found.accessor;
  // Another file may be doing the same.
  await operator.write(path, { type: 'approle' }).catch(() => undefined);
  return (await operator.read(path, mount)).accessor;
}

/**
 * HashiCorp Vault keeps the list of public keys for a moment, so that a key made just now may be missing in it; whoever
 * checks the token then takes it for forged.
 */
async function keyIsPublished(address: string, token: string): Promise<void> {
  const { kid } = header.parse(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()));
  await until('the key of the identity token is published', async () => {
    const response = await fetch(`${address}/v1/identity/oidc/.well-known/keys`);
    return published.parse(await response.json()).keys.some((key) => key.kid === kid);
  });
}

async function join(operator: VaultConnection, group: string, member: string): Promise<void> {
  const path = `identity/group/name/${group}`;
  const stored = await operator.find(path, z.object({ member_entity_ids: z.array(z.string()).nullish() }));
  await operator.write(path, { member_entity_ids: [...(stored?.member_entity_ids ?? []), member] });
}
