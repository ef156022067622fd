/** Logs in to Vault by AppRole (`auth/APPROLE/login`). The token is for one use and kept by nobody. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { IdentityError } from '../../identity-error.ts';
import { errorsOf, type VaultRequest } from '../request.ts';

export interface AppRole {
  readonly mount: string;
  readonly roleIdFile: string;
  readonly secretIdFile: string;
}

const loginAnswer = z.object({ auth: z.object({ client_token: z.string().min(1) }) });

/**
 * Makes the login. Both files are read anew each time, so that a new secret id needs no restart.
 *
 * @returns A function that resolves to a Vault token.
 * @throws IdentityError from that function: CREDENTIAL_UNREADABLE, CREDENTIAL_REJECTED, LOGIN_FORBIDDEN,
 * ANSWER_NOT_UNDERSTOOD, or what the request throws.
 */
export function createVaultLogin(vault: VaultRequest, appRole: AppRole): () => Promise<string> {
  return async () => {
    const [roleId, secretId] = await Promise.all([
      readCredential(appRole.roleIdFile, 'role id'),
      readCredential(appRole.secretIdFile, 'secret id'),
    ]);
    const path = `auth/${appRole.mount}/login`;
    const { status, text } = await vault({ method: 'POST', path, body: { role_id: roleId, secret_id: secretId } });
    // Vault answers 403, not 404, where nothing is mounted.
    if (status === 403 || status === 404)
      throw new IdentityError('LOGIN_FORBIDDEN', `vault does not allow ${path}: ${errorsOf(text)}`);
    if (status >= 400) throw new IdentityError('CREDENTIAL_REJECTED', `vault refused the login: ${errorsOf(text)}`);
    return tokenOf(text);
  };
}

async function readCredential(file: string, name: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new IdentityError('CREDENTIAL_UNREADABLE', `the file of the ${name} cannot be read`, { cause });
  }
  if (text === '') throw new IdentityError('CREDENTIAL_UNREADABLE', `the file of the ${name} is empty`);
  return text;
}

function tokenOf(text: string): string {
  try {
    return loginAnswer.parse(JSON.parse(text)).auth.client_token;
  } catch {
    // Without the cause: the parser's message may quote the answer, and the answer holds a token.
    throw new IdentityError('ANSWER_NOT_UNDERSTOOD', 'vault answered the login without a token');
  }
}
