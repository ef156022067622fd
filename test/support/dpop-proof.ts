/** A DPoP key and its proofs (RFC 9449), made with node:crypto alone so that no verifier checks its own work. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** A P-256 key that proves possession. */
export interface DpopKey {
  /** Signs a proof; `claims` and `header` replace the proper ones or, when `undefined`, remove one. */
  prove(claims: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string;
}

/** The `jti` that Google asks for when a code is redeemed. */
export function codeProofId(code: string): string {
  return createHash('sha256').update(code).digest('base64url');
}

/** Makes a key; its proofs are for a POST to `htu`, issued at `now()` (milliseconds). */
export function createDpopKey({ htu, now }: { htu: string; now: () => number }): DpopKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return {
    prove(claims, header = {}) {
      const jti = randomBytes(16).toString('base64url');
      const payload = { htm: 'POST', htu, iat: Math.floor(now() / 1000), jti, ...claims };
      const signed = `${encode({ typ: 'dpop+jwt', alg: 'ES256', jwk, ...header })}.${encode(payload)}`;
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
  };
}
