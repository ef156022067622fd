/** The login `kubernetes`: Vault has the cluster's API server review the service-account token. */
import { logIn, type VaultLogin } from '../log-in.ts';
import type { VaultRequest } from '../request.ts';
import { readServiceAccountToken } from '../service-account-token.ts';

export interface ServiceAccountLogin {
  readonly mount: string;
  readonly role: string;
  /** The projected service-account token. */
  readonly jwtFile: string;
}

/** @param now Milliseconds since 1970. */
export function createKubernetesLogin(
  vault: VaultRequest,
  { mount, role, jwtFile }: ServiceAccountLogin,
  now: () => number,
): VaultLogin {
  return async () => {
    const { jwt, about } = await readServiceAccountToken(jwtFile, now());
    // A token is refused with 403; of what is sent here, only the role can be a bad request.
    return logIn(vault, { mount, body: { role, jwt }, about, lacksRole: ({ status }) => status === 400 });
  };
}
