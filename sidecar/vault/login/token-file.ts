/** The login `token`: somebody else logs in, for example Vault Agent, and leaves the token in a file. */
import { readCredential } from '../credential-file.ts';
import type { VaultLogin } from '../log-in.ts';

/** The token is not ours to end. */
export function createTokenFileLogin(file: string): VaultLogin {
  return async () => ({ token: await readCredential(file, 'vault token'), end: async () => {} });
}
