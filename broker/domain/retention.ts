/**
 * What is kept no longer than it may be. The terms are second-hand readings of the YouTube API Services Developer Policies
 * (III.D.2.c: data of a consent that was ended with us within 7 days, of one that was ended at Google within 30 days;
 * III.E.4: what is not proven to be authorized any more), so each is a setting.
 */

export const retentionKinds = ['revoked', 'dead', 'request', 'link', 'notification'] as const;

/**
 * `revoked`: the grant and identity of a channel that an admin revoked. `dead`: the same of one whose grant is dead at
 * Google. `request`: an authorization request that has expired (state, cookie, PKCE verifier, nonce). `link`: a consent
 * whose link has expired or was used, unless it is the channel's newest. `notification`: what was told, or could not be.
 */
export type RetentionKind = (typeof retentionKinds)[number];

export interface RetentionTerms {
  readonly revokedMs: number;
  readonly deadMs: number;
  readonly consentMs: number;
  readonly notificationMs: number;
}

/** What was ended at or before these instants is deleted. */
export interface RetentionCutoffs {
  readonly revoked: Date;
  readonly dead: Date;
  readonly consent: Date;
  readonly notification: Date;
}

/** How often the broker looks, and how much before its term a thing may be deleted so that the term is kept. */
export const retentionEveryMs = 3_600_000;

export function retentionCutoffs(now: Date, terms: RetentionTerms): RetentionCutoffs {
  const before = (term: number): Date => new Date(now.getTime() - Math.max(0, term - retentionEveryMs));
  return {
    revoked: before(terms.revokedMs),
    dead: before(terms.deadMs),
    consent: before(terms.consentMs),
    notification: before(terms.notificationMs),
  };
}
