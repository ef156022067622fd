/**
 * How often a caller may ask: a token bucket for each user, over all connections. It is wide, because Google's libraries
 * stall for seconds after a 429: only a program that has run wild meets it.
 */

/** What comes at once after a pause, in seconds of the rate. */
const BURST_SECONDS = 5;
const MOST_BUCKETS = 1_024;

export interface Bucket {
  /** Takes one turn; false where there is none. */
  take(now: number): boolean;
}

export interface CallRate {
  /** The bucket of a caller; the same for the same key. */
  of(key: string): Bucket;
}

/** @param perSecond Turns that come back in a second. */
export function createCallRate(perSecond: number): CallRate {
  const burst = perSecond * BURST_SECONDS;
  const buckets = new Map<string, Bucket>();

  const createBucket = (): Bucket => {
    let turns = burst;
    let since: number | undefined;
    return {
      take(now) {
        since ??= now;
        if (now > since) turns = Math.min(burst, turns + ((now - since) * perSecond) / 1_000);
        since = now;
        if (turns < 1) return false;
        turns -= 1;
        return true;
      },
    };
  };

  return {
    of(key) {
      const known = buckets.get(key);
      if (known) return known;
      const bucket = createBucket();
      // Whoever has so many users at hand is root; those who are connected keep theirs.
      if (buckets.size >= MOST_BUCKETS) buckets.clear();
      buckets.set(key, bucket);
      return bucket;
    },
  };
}
