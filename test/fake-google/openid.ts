/** OpenID Connect as Google speaks it: discovery, keys, ID tokens, userinfo. */
import { createHash } from 'node:crypto';
import { type Clock, second } from './clock.ts';
import { bearerToken, type Endpoint, json } from './http.ts';
import type { AccessToken } from './issued.ts';
import type { SigningKey } from './jwt.ts';
import { emailScope, profileScope } from './scopes.ts';
import type { TokenBook } from './tokens.ts';
import type { Identity } from './world.ts';

/** Where everything is; absolute URLs. Everything a broker's configuration needs to point away from the real Google. */
export interface Endpoints {
  /** Issuer identifier of ID tokens and of the callback's `iss`. */
  readonly issuer: string;
  readonly authorization: string;
  readonly token: string;
  readonly revocation: string;
  readonly jwks: string;
  readonly discovery: string;
  readonly userinfo: string;
  readonly riscConfiguration: string;
  /** Base of the RISC management API; `/v1beta/stream:update` and the like go behind it. */
  readonly riscManagement: string;
  /** Base of the YouTube Data API; `/channels` goes behind it. */
  readonly youtube: string;
  /** Base of the upload API; `/videos` goes behind it. */
  readonly youtubeUpload: string;
}

function profile(identity: Identity, scopes: readonly string[]): Record<string, unknown> {
  return {
    sub: identity.sub,
    ...(scopes.includes(emailScope) ? { email: identity.email, email_verified: true } : {}),
    ...(scopes.includes(profileScope) ? { name: identity.name } : {}),
  };
}

/** Signs the ID token that goes with an access token, or returns `undefined` without the `openid` scope. */
export type IssueIdToken = (accessToken: AccessToken, nonce?: string) => Promise<string | undefined>;

/** Creates the issuer of ID tokens. */
export function createIdTokenIssuer({
  clock,
  issuer,
  signingKey,
}: {
  clock: Clock;
  issuer: string;
  signingKey: SigningKey;
}): IssueIdToken {
  return async ({ client, identity, scopes, token }, nonce) => {
    if (!scopes.includes('openid')) return undefined;
    const issuedAt = Math.floor(clock.now() / second);
    const hash = createHash('sha256').update(token).digest();
    return signingKey.sign({
      iss: issuer,
      azp: client.clientId,
      aud: client.clientId,
      ...profile(identity, scopes),
      at_hash: hash.subarray(0, hash.length / 2).toString('base64url'),
      ...(nonce === undefined ? {} : { nonce }),
      iat: issuedAt,
      exp: issuedAt + 3600,
    });
  };
}

/** Answers the discovery document. Like Google's it does not announce the callback's `iss` (reference G23). */
export function createDiscovery(endpoints: Endpoints): Endpoint {
  const document = {
    issuer: endpoints.issuer,
    authorization_endpoint: endpoints.authorization,
    token_endpoint: endpoints.token,
    userinfo_endpoint: endpoints.userinfo,
    revocation_endpoint: endpoints.revocation,
    jwks_uri: endpoints.jwks,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: ['openid', 'email', 'profile'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    claims_supported: ['aud', 'email', 'email_verified', 'exp', 'iat', 'iss', 'name', 'sub'],
    code_challenge_methods_supported: ['plain', 'S256'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    dpop_signing_alg_values_supported: ['ES256', 'RS256'],
  };
  return () => json(200, document, { 'cache-control': 'public, max-age=3600' });
}

/** Answers the keys of ID tokens and security events. */
export function createKeySet(signingKey: SigningKey): Endpoint {
  return async () => json(200, await signingKey.publicKeys(), { 'cache-control': 'public, max-age=3600' });
}

/** Answers who the access token is bound to. */
export function createUserinfo(tokens: TokenBook): Endpoint {
  return (request) => {
    const token = tokens.findAccessToken(bearerToken(request) ?? '');
    if (!token) return json(401, { error: 'invalid_request', error_description: 'Invalid Credentials' });
    return json(200, profile(token.identity, token.scopes));
  };
}
