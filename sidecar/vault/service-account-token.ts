/** A service-account token of Kubernetes, projected into a file that the kubelet replaces before it ends. */
import * as z from 'zod';
import { IdentityError } from '../identity-error.ts';
import { readCredential } from './credential-file.ts';

export interface ServiceAccountToken {
  readonly jwt: string;
  /** Whom and what it is for, for the log. */
  readonly about: string;
}

const claims = z.object({
  sub: z.string().optional(),
  aud: z.union([z.string(), z.array(z.string())]).optional(),
  exp: z.number().optional(),
});

/**
 * @param now Milliseconds since 1970.
 * @throws IdentityError CREDENTIAL_UNREADABLE; CREDENTIAL_EXPIRED, because Vault would only say that it is refused.
 */
export async function readServiceAccountToken(file: string, now: number): Promise<ServiceAccountToken> {
  const jwt = await readCredential(file, 'service account token');
  const { sub = 'nobody', aud = [], exp } = claimsOf(jwt);
  const about = `the token is of ${sub}, for ${[aud].flat().join(', ') || 'no audience'}`;
  if (exp !== undefined && exp * 1_000 <= now)
    throw new IdentityError('CREDENTIAL_EXPIRED', `${about}, and ended at ${new Date(exp * 1_000).toISOString()}`);
  return { jwt, about };
}

/** Unverified: that is for Vault. What cannot be read is sent as it is. */
function claimsOf(jwt: string): z.output<typeof claims> {
  try {
    return claims.parse(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()));
  } catch {
    return {};
  }
}
