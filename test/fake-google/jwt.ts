/** The practice Google's only use of jose: what it signs (ID tokens, security events) and the proofs it verifies. */
import { createPublicKey } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeJwt,
  EmbeddedJWK,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';

/** Claims of a JWT, as JSON. */
export type Claims = Record<string, unknown>;

/** An RS256 key; made when it is first needed, because most tests sign nothing. */
export interface SigningKey {
  /** The public part as a JWK Set (RFC 7517 section 5). */
  publicKeys(): Promise<{ keys: JWK[] }>;
  /** Signs `claims` as they are; `typ` is the header's type. */
  sign(claims: Claims, typ?: string): Promise<string>;
}

/** Creates the signing key called `keyId`. */
export function createSigningKey(keyId: string): SigningKey {
  let pair: ReturnType<typeof generateKeyPair> | undefined;
  const keys = () => {
    pair ??= generateKeyPair('RS256');
    return pair;
  };
  return {
    async publicKeys() {
      const publicKey = await exportJWK((await keys()).publicKey);
      return { keys: [{ ...publicKey, kid: keyId, alg: 'RS256', use: 'sig' }] };
    },
    async sign(claims, typ = 'JWT') {
      return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: keyId, typ }).sign((await keys()).privateKey);
    },
  };
}

/** A verified JWT that brought its own public key. */
export interface ProvenJwt {
  readonly claims: Claims;
  /** SHA-256 thumbprint of the key (RFC 7638). */
  readonly thumbprint: string;
}

/** Verifies a DPoP proof's form and signature (RFC 9449 section 4.3, checks 2–7). Throws when it does not hold. */
export async function verifyDpopJwt(proof: string, now: number): Promise<ProvenJwt> {
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256', 'RS256'],
    currentDate: new Date(now),
  });
  const { jwk } = protectedHeader;
  if (!jwk) throw new Error('dpop proof carries no key');
  return { claims: payload, thumbprint: await calculateJwkThumbprint(jwk) };
}

/** The `iss` that `jwt` claims, unverified; `undefined` when it is no JWT. */
export function claimedIssuer(jwt: string): string | undefined {
  try {
    return decodeJwt(jwt).iss;
  } catch {
    return undefined;
  }
}

/** Tells whether `jwt` is signed (RS256) by the owner of `publicKey` (PEM) and has not expired. */
export async function isSignedBy(publicKey: string, jwt: string, now: number): Promise<boolean> {
  const options = { algorithms: ['RS256'], requiredClaims: ['exp'], currentDate: new Date(now) };
  return jwtVerify(jwt, createPublicKey(publicKey), options).then(
    () => true,
    () => false,
  );
}
