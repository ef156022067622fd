/**
 * Ways to get a Vault token. Credentials are read from their files at each login, so that a replaced secret id is
 * taken up without a restart.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import type { VaultCall } from './client.ts';
import { VaultFailure, vaultFailureOf } from './vault-failure.ts';

export interface TokenLease {
  readonly token: Secret<string>;
  /** Seconds to live; 0 for a token without end. */
  readonly seconds: number;
  readonly renewable: boolean;
  /** Whether this login made the token, so that it is ours to revoke. */
  readonly ours: boolean;
}

type Send = (call: Pick<VaultCall, 'method' | 'path' | 'body' | 'token'>) => Promise<unknown>;

/** Throws `VaultFailure`: `login_refused` where Vault does not take the credential. */
export type VaultLogin = (send: Send) => Promise<TokenLease>;

const loginAnswer = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number(), renewable: z.boolean() }),
});
const lookupAnswer = z.object({ data: z.object({ ttl: z.number(), renewable: z.boolean().default(false) }) });

/** Logs in by `auth/MOUNT/login` with role id and secret id. */
export function appRoleLogin(settings: {
  readonly mount: string;
  readonly roleIdFile: string;
  readonly secretIdFile: string;
}): VaultLogin {
  return async (send) => {
    const roleId = await readCredential('role id', settings.roleIdFile);
    const secretId = await readCredential('secret id', settings.secretIdFile);
    const body = { role_id: roleId.reveal(), secret_id: secretId.reveal() };
    const answer = await refusable(send({ method: 'POST', path: `auth/${settings.mount}/login`, body }));
    const { auth } = parseLogin(loginAnswer, answer);
    return {
      token: new Secret(auth.client_token),
      seconds: auth.lease_duration,
      renewable: auth.renewable,
      ours: true,
    };
  };
}

/** Takes the token that a file holds (development, or a Vault Agent's sink). */
export function tokenFileLogin(settings: { readonly tokenFile: string }): VaultLogin {
  return async (send) => {
    const token = await readCredential('token', settings.tokenFile);
    const answer = await refusable(send({ method: 'GET', path: 'auth/token/lookup-self', token }));
    const { data } = parseLogin(lookupAnswer, answer);
    return { token, seconds: data.ttl, renewable: data.renewable, ours: false };
  };
}

/** Takes a person's own token for one command: it is neither looked up, renewed nor revoked. */
export function tokenLogin(token: Secret<string>): VaultLogin {
  return async () => ({ token, seconds: 0, renewable: false, ours: false });
}

async function readCredential(what: string, file: string): Promise<Secret<string>> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new VaultFailure('credential_unreadable', `cannot read the ${what} file`, { cause });
  });
  if (content.trim() === '') throw new VaultFailure('credential_unreadable', `the ${what} file is empty`);
  return new Secret(content.trim());
}

/** Vault says 400 or 403, by version and by cause, to a credential that it does not take. */
async function refusable(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    const failure = vaultFailureOf(error);
    if (failure?.kind !== 'bad_request' && failure?.kind !== 'forbidden') throw error;
    const { message, problems } = failure;
    throw new VaultFailure('login_refused', message, { problems, cause: failure });
  }
}

function parseLogin<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw new VaultFailure('unexpected_answer', 'the answer to the login is not one of Vault');
  return parsed.data;
}
