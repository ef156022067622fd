/** What the flows need from Google. Methods that throw say AUTHORIZATION_SERVER_UNAVAILABLE where it does not answer. */
import type { Secret } from '../domain/secret.ts';
import type { TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';

export interface OAuthClient {
  /** Ours; names the KV entry and the DPoP key. */
  readonly name: string;
  /** Google's `client_id`; public. */
  readonly clientId: string;
  /** Whether grants are bound by DPoP. */
  readonly dpop: boolean;
}

export interface AuthorizationRequest {
  readonly client: OAuthClient;
  readonly scopes: readonly string[];
  readonly state: Secret<string>;
  readonly nonce: string;
  /** RFC 7636; the S256 challenge is computed from it. */
  readonly codeVerifier: Secret<string>;
  readonly loginHint: string | undefined;
}

/** A successful answer of the token endpoint (RFC 6749 §5.1). */
export interface TokenResponse {
  readonly accessToken: Secret<string>;
  readonly expiresAt: Date;
  /** Absent where Google sent none, or an empty one. */
  readonly refreshToken: Secret<string> | undefined;
  /** When the refresh token ends by itself (time-based access); undefined otherwise. */
  readonly refreshTokenExpiresAt: Date | undefined;
  /** Undefined where the answer names none (then those asked for are granted, RFC 6749 §5.1). */
  readonly scopes: readonly string[] | undefined;
  readonly idToken: Secret<string> | undefined;
  /** The DPoP key version that the refresh token is bound to. */
  readonly dpopKeyVersion: number | undefined;
}

export type TokenOutcome =
  | { readonly ok: true; readonly tokens: TokenResponse }
  | { readonly ok: false; readonly failure: TokenEndpointFailure };

/** What became of a token that was to be revoked. */
export type RevocationAnswer =
  | { readonly result: 'revoked' | 'already_invalid' }
  | { readonly result: 'failed'; readonly failure: TokenEndpointFailure };

export interface AuthorizationServer {
  /** The exact redirect URI that all consents use. */
  readonly redirectUri: string;
  readonly issuer: string;
  authorizationUrl(request: AuthorizationRequest): string;
  /** The authorization-code grant. Failures are answered, not thrown. */
  exchangeCode(client: OAuthClient, code: Secret<string>, codeVerifier: Secret<string>): Promise<TokenOutcome>;
  /** The refresh grant. Failures are answered, not thrown. */
  refresh(client: OAuthClient, refreshToken: Secret<string>, dpopKeyVersion: number | undefined): Promise<TokenOutcome>;
  /** Whether the secret is let in at the token endpoint now; undefined where no answer tells. Uses nothing up. */
  acceptsSecret(client: OAuthClient, secret: Secret<string>): Promise<boolean | undefined>;
  /**
   * Revokes a token (RFC 7009). At Google that ends everything that the identity has granted to the whole project, for
   * all its OAuth clients. Failures are answered, not thrown.
   */
  revoke(client: OAuthClient, token: Secret<string>): Promise<RevocationAnswer>;
  /** Checks an ID token (signature, issuer, audience, nonce, time); throws INVALID_AUTHORIZATION_RESPONSE. */
  verifyIdToken(client: OAuthClient, idToken: Secret<string>, nonce: string | undefined): Promise<IdTokenClaims>;
}

export interface IdTokenClaims {
  readonly subject: string;
  readonly email: string | undefined;
}

export interface YouTubeChannel {
  readonly id: string;
  readonly title: string;
}

/** `channels.list?mine=true`: one quota unit. */
export interface YouTube {
  /** All channels of the identity that the token belongs to; empty where it has none. */
  channelsOf(accessToken: Secret<string>): Promise<readonly YouTubeChannel[]>;
}
