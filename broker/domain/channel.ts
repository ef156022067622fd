/**
 * A channel: the aggregate that admins see and that the `channels` table holds, with the grant behind it.
 *
 *   pending_consent ──consent──▶ active ──confirmed invalid_grant / RISC──▶ needs_reconsent ──consent──▶ active
 *                                  │  ▲
 *                        suspend   ▼  │ resume        admin_policy_enforced ──▶ blocked
 *                              suspended              revoke ──▶ revoked ──retention──▶ (row scrubbed)
 */
import type { ErrorCode } from '../errors.ts';

export const channelStates = [
  'pending_consent',
  'active',
  'needs_reconsent',
  'blocked',
  'suspended',
  'revoked',
] as const;
export type ChannelState = (typeof channelStates)[number];

/** Which states may follow which; the database refuses every other step. `revoked` is the end. */
export const nextStates: Readonly<Record<ChannelState, readonly ChannelState[]>> = {
  pending_consent: ['active', 'revoked'],
  active: ['needs_reconsent', 'blocked', 'suspended', 'revoked'],
  needs_reconsent: ['active', 'revoked'],
  blocked: ['active', 'revoked'],
  suspended: ['active', 'revoked'],
  revoked: [],
};

/** Why a channel is in its state; part of the public API. */
export type StateReason =
  | 'created'
  | 'consented'
  | 'newer_token_stored'
  | 'grant_revoked_or_expired'
  | 'grant_revoked'
  | 'grant_expired'
  | 'testing_mode_expired'
  | 'idle_six_months'
  | 'token_limit'
  | 'account_disabled'
  | 'scope_reduced'
  | 'channel_drift'
  | 'session_control'
  | 'admin_policy_enforced'
  | 'sibling_revoked'
  | 'restored_after_incident'
  | 'account_enabled'
  | 'suspended_by_admin'
  | 'resumed_by_admin'
  | 'revoked_by_admin'
  | 'revoked_by_owner'
  | 'tenant_shredded';

export interface Channel {
  /** Ours: `ch_` and 26 characters of Crockford base32. */
  readonly id: string;
  readonly tenant: string;
  /** The admin's name for it; unique within the tenant. */
  readonly name: string;
  readonly region: string;
  /** Name of the OAuth client that its consents are asked with. */
  readonly oauthClient: string;
  readonly state: ChannelState;
  readonly reason: StateReason;
  /** Subject (at the identity provider) of the person who owns the channel here. */
  readonly owner: string;
  /** Principals (`user:SUBJECT` or `group:NAME`) who may act on it besides the owner and the tenant's admins. */
  readonly admins: readonly string[];
  /** Scopes to ask the owner for. */
  readonly requestedScopes: readonly string[];
  readonly grant: Grant | undefined;
  /** Generation of the last grant, where there is none because retention deleted it: the next one counts on. */
  readonly formerGeneration?: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The generation of the grant that a consent will bring. Never one that there was: old ciphertexts stay closed. */
export function nextGeneration({ grant, formerGeneration = 0 }: Pick<Channel, 'grant' | 'formerGeneration'>): number {
  return (grant?.generation ?? formerGeneration) + 1;
}

/** The consent behind a channel. The refresh token is ciphertext here, always. */
export interface Grant {
  /** 1 for the first consent; rises with each consent that brings a new refresh token. */
  readonly generation: number;
  /** Transit ciphertext `vault:vN:…`, bound to tenant, channel and generation. */
  readonly refreshTokenEncrypted: string;
  /** Base64 of SHA-512 of SHA-512 of the refresh token: how Google names it in security events. */
  readonly refreshTokenHash: string;
  /** SHA-256 of its first 16 characters, its other name there; absent until it was in clear once since this is kept. */
  readonly refreshTokenPrefixHash?: string;
  /** When it ends by itself, where Google said so (time-based access). */
  readonly refreshTokenExpiresAt?: Date;
  /** The newest security event about this grant, by the last part of its type. */
  readonly securityEvent?: { readonly type: string; readonly at: Date };
  /** Transit key version that signs this grant's DPoP proofs; undefined where it is not bound. */
  readonly dpopKeyVersion: number | undefined;
  readonly scopes: readonly string[];
  /** Google's `sub` of the identity (account or brand account) that consented. */
  readonly googleSubject: string;
  readonly youtubeChannelId: string;
  readonly youtubeTitle: string;
  readonly consentedAt: Date;
  /** Key of the newest access token in the cache; undefined before the first. */
  readonly accessTokenCacheKey: string | undefined;
  /** When the newest access token expires. */
  readonly tokenExpiresAt: Date | undefined;
  readonly lastRefreshAt: Date | undefined;
  /** When the scheduler refreshes it next. */
  readonly refreshDueAt: Date | undefined;
  /** Failures in a row since the last success. */
  readonly refreshFailures: number;
  /** Class of the last failure; an active channel with one is shown as degraded. */
  readonly lastFailure: string | undefined;
}

/** Tells whether tokens are released; if not, by which error a reader learns why. */
export function releaseRefusal(channel: Pick<Channel, 'state'>): ErrorCode | undefined {
  switch (channel.state) {
    case 'active':
      return undefined;
    case 'pending_consent':
      return 'CONSENT_PENDING';
    case 'needs_reconsent':
      return 'RECONSENT_REQUIRED';
    case 'blocked':
      return 'CHANNEL_BLOCKED';
    case 'suspended':
      return 'CHANNEL_SUSPENDED';
    case 'revoked':
      return 'CHANNEL_REVOKED';
  }
}

/** Tells whether an owner may (again) consent to the channel. */
export function acceptsConsent(channel: Pick<Channel, 'state'>): boolean {
  return channel.state !== 'revoked' && channel.state !== 'suspended';
}
