/**
 * A token bucket that learns: it fills at a rate, each request takes one token, and whoever finds it empty is told how
 * long to wait for the token that is reserved for them. Where the other side says that it is too much, the rate is halved; it rises
 * again slowly by itself. `cache/token-bucket-script.ts` is the same in Lua, for Redis; one contract holds both.
 */

export interface BucketRules {
  /** The most requests a second, where nobody complains. */
  readonly ratePerSecond: number;
  /** How many may go at once after a pause. */
  readonly burst: number;
  /** The fewest requests a second, however often it is halved. */
  readonly slowestPerSecond: number;
}

export interface Bucket {
  /** Below 0 where tokens are reserved for requests that wait. */
  readonly tokens: number;
  /** When `tokens` was counted, in ms; in the future where it starts to fill only then. */
  readonly at: number;
  /** Requests a second, at that instant. */
  readonly rate: number;
  /** When it was last halved, in ms. */
  readonly halvedAt: number;
}

/** From nothing to the full rate; so a halved one takes half of it. */
export const riseMs = 20 * 60_000;
/** Complaints about requests that were under way together are one. */
export const settleMs = 1_000;
/** A state that far in the future was written by a clock that was wrong. */
export const clockSkewMs = 5_000;

/** The bucket as it is `now`. */
export function filled(bucket: Bucket | undefined, rules: BucketRules, now: number, closedUntil = 0): Bucket {
  if (!bucket) return { tokens: rules.burst, at: now, rate: rules.ratePerSecond, halvedAt: 0 };
  const at = bucket.at > Math.max(now, closedUntil) + clockSkewMs ? now : bucket.at;
  const passed = Math.max(0, now - at);
  const rate = Math.min(rules.ratePerSecond, bucket.rate + (rules.ratePerSecond * passed) / riseMs);
  const tokens = Math.min(rules.burst, bucket.tokens + (rate * passed) / 1_000);
  return { tokens, at: Math.max(at, now), rate, halvedAt: Math.min(bucket.halvedAt, now) };
}

export interface Taken {
  readonly bucket: Bucket;
  /** Whether a token was taken, or is reserved for an instant that is near enough. */
  readonly granted: boolean;
  /** How long until then, in ms; where nothing was granted, when to ask again. */
  readonly waitMs: number;
}

/** @param patienceMs how long the caller would wait at most */
export function take(
  former: Bucket | undefined,
  rules: BucketRules,
  now: number,
  patienceMs: number,
  closedUntil: number,
): Taken {
  const bucket = filled(former, rules, now, closedUntil);
  const missing = Math.max(0, 1 - bucket.tokens);
  const opens = Math.max(0, Math.max(closedUntil, bucket.at) - now);
  const waitMs = Math.ceil(missing > 0 ? opens + (missing * 1_000) / bucket.rate : opens);
  const granted = waitMs <= patienceMs;
  return { bucket: granted ? { ...bucket, tokens: bucket.tokens - 1 } : bucket, granted, waitMs };
}

/** The bucket after a complaint: half as fast, empty, and filling from `closedUntil` on. */
export function slowed(former: Bucket | undefined, rules: BucketRules, now: number, closedUntil: number): Bucket {
  const bucket = filled(former, rules, now, closedUntil);
  const again = now - bucket.halvedAt < settleMs;
  return {
    tokens: Math.min(0, bucket.tokens),
    at: Math.max(bucket.at, closedUntil),
    rate: again ? bucket.rate : Math.max(rules.slowestPerSecond, bucket.rate / 2),
    halvedAt: again ? bucket.halvedAt : now,
  };
}
