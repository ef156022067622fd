/**
 * A consent: an owner's pending or finished decision about one channel. It begins as an invitation (a link that an
 * admin sends), holds the newest authorization request while the owner is at Google, and completes once. A request that
 * fails leaves it pending: the owner may open the link and start over.
 */

/** How a consent can fail; shown to the owner in words and to the admin as a code. */
export type ConsentFailure =
  | 'denied'
  | 'expired'
  | 'wrong_issuer'
  | 'malformed_response'
  | 'scope_missing'
  | 'no_refresh_token'
  | 'other_account'
  | 'other_channel'
  | 'no_channel'
  | 'several_channels'
  | 'identity_unproven'
  | 'code_rejected'
  | 'google_unavailable'
  | 'google_refused'
  | 'client_rejected'
  | 'channel_closed'
  | 'overtaken'
  | 'vault_unavailable';

export type ConsentStatus =
  /** The owner has not decided. */
  | 'pending'
  /** A refresh token is stored; its checks are not finished. */
  | 'received'
  | 'completed';

export interface Consent {
  readonly id: string;
  readonly channel: string;
  readonly tenant: string;
  readonly oauthClient: string;
  /** Base64url SHA-256 of the secret in the consent link. */
  readonly linkHash: string;
  readonly linkExpiresAt: Date;
  readonly status: ConsentStatus;
  /** How the newest request failed; the link can be used again until it expires or a consent completes. */
  readonly failure: ConsentFailure | undefined;
  readonly createdBy: string;
  readonly createdAt: Date;
  /** The newest authorization request; undefined before the owner has started. */
  readonly request:
    | {
        /** Base64url SHA-256 of `state`. */
        readonly stateHash: string;
        /** Base64url SHA-256 of the cookie that binds the request to one browser. */
        readonly browserHash: string;
        /** Transit ciphertext of the PKCE verifier; undefined once the state has been taken. */
        readonly codeVerifierEncrypted: string | undefined;
        readonly nonce: string;
        readonly startedAt: Date;
        /** Ten minutes after the start. */
        readonly expiresAt: Date;
        readonly takenAt: Date | undefined;
      }
    | undefined;
}

/** The generation in the encryption context of a PKCE verifier; grants begin at 1. */
export const verifierGeneration = 0;
