/**
 * Checks signed tokens of an OpenID provider: admins' identity tokens and Google's ID tokens alike. The only place that
 * imports jose. Asymmetric algorithms only (RFC 8725 §3.1); issuer and audience are always checked.
 */
import { compactVerify, createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import * as z from 'zod';
import type { Secret } from './domain/secret.ts';
import { BrokerError } from './errors.ts';

export interface JwtVerifierOptions {
  readonly issuer: string;
  /** Other spellings that the provider uses for itself in tokens (Google: without `https://`). */
  readonly issuerAliases?: readonly string[];
  readonly audience: string | readonly string[];
  /** Where the keys are; found through the issuer's discovery document where absent. */
  readonly jwksUri?: string | undefined;
  readonly now: () => Date;
  /** For each request for keys or discovery. */
  readonly deadlineMs: number;
  /** What is thrown where the keys cannot be had. */
  readonly unavailable: 'AUTHORIZATION_SERVER_UNAVAILABLE' | 'IDENTITY_PROVIDER_UNAVAILABLE';
}

/** Answers the claims; throws UNAUTHENTICATED where the token is not good, `unavailable` where the keys cannot be had. */
export type VerifyJwt = (
  jwt: Secret<string>,
  expected?: { readonly audience?: string; readonly nonce?: string },
) => Promise<Readonly<Record<string, unknown>>>;

const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];
const discoveryDocument = z.object({ issuer: z.string(), jwks_uri: z.url() });

export function createJwtVerifier(options: JwtVerifierOptions): VerifyJwt {
  let keys: Promise<JWTVerifyGetKey> | undefined;

  async function findKeys(): Promise<JWTVerifyGetKey> {
    return remoteKeys(options.jwksUri ?? (await discover(options)), options.deadlineMs);
  }

  return async (jwt, expected = {}) => {
    keys ??= findKeys();
    let getKey: JWTVerifyGetKey;
    try {
      getKey = await keys;
    } catch (error) {
      keys = undefined;
      throw new BrokerError(options.unavailable, {
        detail: 'identity provider discovery failed',
        cause: error,
      });
    }
    const payload = await verify(jwt, getKey, expected.audience ?? options.audience, options);
    if (expected.nonce !== undefined && payload.nonce !== expected.nonce) {
      throw new BrokerError('UNAUTHENTICATED', { detail: 'nonce of the token does not match' });
    }
    return payload;
  };
}

async function verify(
  jwt: Secret<string>,
  getKey: JWTVerifyGetKey,
  audience: string | readonly string[],
  options: JwtVerifierOptions,
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const { payload } = await jwtVerify(jwt.reveal(), getKey, {
      issuer: [options.issuer, ...(options.issuerAliases ?? [])],
      audience: typeof audience === 'string' ? audience : [...audience],
      algorithms,
      clockTolerance: 30,
      currentDate: options.now(),
      requiredClaims: ['sub', 'exp', 'iat'],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && !isKeyFetch(error)) {
      // The message of a jose error names the claim that failed, never the token.
      throw new BrokerError('UNAUTHENTICATED', { detail: error.message, cause: error });
    }
    throw new BrokerError(options.unavailable, {
      detail: 'keys of the identity provider not to be had',
      cause: error,
    });
  }
}

/**
 * The keys at an address: fetched when they are needed, kept for ten minutes, and fetched again for a key that is not among
 * them, at most once in thirty seconds.
 */
function remoteKeys(uri: string, deadlineMs: number): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(uri), {
    timeoutDuration: deadlineMs,
    [customFetch]: (url, init) => fetch(url, { ...init, redirect: 'error' }),
  });
}

/** Answers the signed bytes; undefined where the signature is not one of the keys'. Throws where the keys cannot be had. */
export type VerifySignature = (jws: string) => Promise<Uint8Array | undefined>;

/** Checks signatures with the keys at `jwksUri` and looks at no claim: for tokens that are no JWT of a session. */
export function createSignatureVerifier({
  jwksUri,
  deadlineMs,
}: {
  jwksUri: string;
  deadlineMs: number;
}): VerifySignature {
  const keys = remoteKeys(jwksUri, deadlineMs);
  return async (jws) => {
    try {
      return (await compactVerify(jws, keys, { algorithms })).payload;
    } catch (error) {
      if (error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && !isKeyFetch(error))
        return undefined;
      throw error;
    }
  };
}

/** jose reports an answer of the JWKS endpoint that is not 200 or not JSON by its generic class. */
function isKeyFetch(error: errors.JOSEError): boolean {
  return error.code === 'ERR_JOSE_GENERIC' || error instanceof errors.JWKSInvalid;
}

async function discover(options: JwtVerifierOptions): Promise<string> {
  const response = await fetch(`${options.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
    redirect: 'error',
    signal: AbortSignal.timeout(options.deadlineMs),
  });
  if (!response.ok) throw new Error(`discovery answered ${response.status}`);
  const document = discoveryDocument.parse(await response.json());
  if (document.issuer !== options.issuer) throw new Error('discovery names another issuer');
  return document.jwks_uri;
}
