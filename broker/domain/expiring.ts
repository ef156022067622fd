/** Grants that end by themselves at Google, and when their owners hear of it. Facts: Google's "Refresh token expiration". */

export const expiringKinds = ['testing_mode', 'time_based', 'idle', 'token_limit'] as const;
/** Why a grant will end; part of the public API. */
export type ExpiringKind = (typeof expiringKinds)[number];

const day = 86_400_000;

/** Grants of an OAuth client in testing end so long after the consent. */
export const testingLifeMs = 7 * day;
/** A refresh token that is not used for six months stops working. */
export const idleLifeMs = 180 * day;
/** Refresh tokens of one Google identity with one OAuth client; at the next one, the oldest ends without a word. */
export const mostGrantsAtGoogle = 100;

export interface ExpiringSettings {
  /** How long before the end of a grant in testing, or of one that Google gave a term, its owner hears of it. */
  readonly testingLeadMs: number;
  readonly idleLeadMs: number;
  /** From so many live grants on. */
  readonly mostGrants: number;
}

/** Which grants are close to their end at an instant. */
export function expiringTerms(now: Date, { testingLeadMs, idleLeadMs, mostGrants }: ExpiringSettings) {
  const before = (ms: number) => new Date(now.getTime() - ms);
  return {
    now,
    timedUntil: new Date(now.getTime() + testingLeadMs),
    testingSince: before(testingLifeMs - testingLeadMs),
    testingDead: before(testingLifeMs),
    testingLifeMs,
    idleSince: before(idleLifeMs - idleLeadMs),
    idleLifeMs,
    mostGrants,
  };
}
