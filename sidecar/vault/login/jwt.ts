/** The login `jwt`: Vault verifies the service-account token by itself, with the cluster's public keys. */
import { logIn, type VaultLogin } from '../log-in.ts';
import { errorsOf, type VaultRequest } from '../request.ts';
import { readServiceAccountToken } from '../service-account-token.ts';
import type { ServiceAccountLogin } from './kubernetes.ts';

/** @param now Milliseconds since 1970. */
export function createJwtLogin(
  vault: VaultRequest,
  { mount, role, jwtFile }: ServiceAccountLogin,
  now: () => number,
): VaultLogin {
  return async () => {
    const { jwt, about } = await readServiceAccountToken(jwtFile, now());
    // Both a missing role and a bad token are a 400 here; the words only choose the advice.
    const lacksRole = ({ text }: { readonly text: string }) => errorsOf(text) === `role "${role}" could not be found`;
    return logIn(vault, { mount, body: { role, jwt }, about, lacksRole });
  };
}
