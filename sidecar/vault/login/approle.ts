/** The login `approle`: a role id, which names the role, and a secret id. */
import { readCredential } from '../credential-file.ts';
import { logIn, type VaultLogin } from '../log-in.ts';
import type { VaultRequest } from '../request.ts';

export interface AppRole {
  readonly mount: string;
  readonly roleIdFile: string;
  /** Where the secret id is; see `wrapped-secret-id.ts` for one that comes wrapped. */
  readonly secretId: () => Promise<string>;
}

/** A secret id that lies in a file in clear. */
export function secretIdFrom(file: string): () => Promise<string> {
  return () => readCredential(file, 'secret id');
}

/** Vault does not tell a wrong role id from a wrong secret id, and means not to. */
export function createAppRoleLogin(vault: VaultRequest, { mount, roleIdFile, secretId }: AppRole): VaultLogin {
  return async () => {
    const [roleId, secret] = await Promise.all([readCredential(roleIdFile, 'role id'), secretId()]);
    return logIn(vault, { mount, body: { role_id: roleId, secret_id: secret } });
  };
}
