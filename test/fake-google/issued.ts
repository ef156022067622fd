/** The things that the practice Google issues to a client on behalf of an identity. */
import type { Client, Identity } from './world.ts';

/** What codes, refresh tokens, access tokens and consents have in common. */
export interface Issued {
  readonly client: Client;
  readonly identity: Identity;
  readonly scopes: readonly string[];
  /** Order of issue; decides what a revocation reaches even when the clock stands still. */
  readonly serial: number;
  readonly issuedAt: number;
}

/** An authorization code and what its token request must match. */
export interface AuthorizationCode extends Issued {
  readonly code: string;
  readonly redirectUri: string;
  readonly challenge: { readonly value: string; readonly method: 'S256' | 'plain' } | undefined;
  readonly nonce: string | undefined;
  /** Whether the token response carries a refresh token. */
  readonly offline: boolean;
  readonly expiresAt: number;
  redeemed: boolean;
}

/** Why a refresh token no longer works, other than by a revocation or the clock. */
export type RefreshTokenEnd = 'limit' | 'rotated' | 'code replayed' | 'expired by a test';

/** A refresh token. */
export interface RefreshToken extends Issued {
  readonly token: string;
  readonly code: string | undefined;
  readonly expiresAt: number | undefined;
  /** Thumbprint of the DPoP key it is bound to (RFC 9449 section 5). */
  readonly boundTo: string | undefined;
  lastUsedAt: number;
  ended: RefreshTokenEnd | undefined;
}

/** An access token; always a bearer token, also where the refresh token is bound (reference G25). */
export interface AccessToken extends Issued {
  readonly token: string;
  readonly code: string | undefined;
  readonly refreshToken: RefreshToken | undefined;
  expiresAt: number;
  replayed: boolean;
}
