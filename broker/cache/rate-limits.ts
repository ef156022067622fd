/** The buckets of all replicas in Redis, those of one replica in its memory, and how the one stands in for the other. */
import { type Bucket, type BucketRules, slowed, take } from '../domain/token-bucket.ts';
import type { Clock, RateLimits } from '../ports.ts';
import type { RedisConnection } from './redis.ts';
import { tokenBucketScript } from './token-bucket-script.ts';

/** Scopes that were not asked for lately are forgotten beyond so many. */
const mostKept = 10_000;

/** For one broker without Redis. */
export function createInProcessRateLimits({ clock }: { readonly clock: Clock }): RateLimits {
  const buckets = new Map<string, Bucket>();
  const closed = new Map<string, number>();
  const keep = <T>(map: Map<string, T>, key: string, value: T) => {
    map.delete(key);
    map.set(key, value);
    const [oldest] = map.size > mostKept ? map.keys() : [];
    if (oldest !== undefined) map.delete(oldest);
  };
  const keyOf = (scope: string, part: string) => `${scope} ${part}`;

  return {
    async take(scope, part, rules, patienceMs) {
      const key = keyOf(scope, part);
      const now = clock.now().getTime();
      const { bucket, granted, waitMs } = take(buckets.get(key), rules, now, patienceMs, closed.get(scope) ?? 0);
      keep(buckets, key, bucket);
      return { granted, waitMs };
    },
    async slowDown(scope, part, rules, closedMs) {
      const key = keyOf(scope, part);
      const now = clock.now().getTime();
      const until = Math.max(closed.get(scope) ?? 0, now + closedMs);
      keep(closed, scope, until);
      keep(buckets, key, slowed(buckets.get(key), rules, now, until));
    },
  };
}

/** Shared by all replicas. Both methods throw STORE_UNAVAILABLE where Redis does not do as asked. */
export function createRedisRateLimits(deps: { readonly redis: RedisConnection; readonly clock: Clock }): RateLimits {
  const { redis, clock } = deps;

  async function run(act: 'take' | 'slow', scope: string, part: string, rules: BucketRules, ms: number) {
    // In braces: both keys on the same node of a Redis Cluster.
    const keys = [`rate:{${scope}}:${part}`, `rate:{${scope}}`];
    const { ratePerSecond, burst, slowestPerSecond } = rules;
    const numbers = [clock.now().getTime(), ratePerSecond, burst, slowestPerSecond, ms];
    const [granted, waitMs] = await redis.evaluate(tokenBucketScript, keys, [act, ...numbers]);
    return { granted: granted === 1, waitMs: waitMs ?? 0 };
  }

  return {
    take: (scope, part, rules, patienceMs) => run('take', scope, part, rules, patienceMs),
    slowDown: async (scope, part, rules, closedMs) => void (await run('slow', scope, part, rules, closedMs)),
  };
}

/**
 * Redis, and while it is away this replica's share of each rate, so that all replicas together stay within it. What was
 * complained about is remembered here in any case.
 *
 * @param replicas how many brokers share the rates
 */
export function rateLimitsWithFallback(shared: RateLimits, own: RateLimits, replicas: number): RateLimits {
  const shareOf = ({ ratePerSecond, burst, slowestPerSecond }: BucketRules): BucketRules => ({
    ratePerSecond: ratePerSecond / replicas,
    burst: Math.max(1, burst / replicas),
    slowestPerSecond: slowestPerSecond / replicas,
  });
  return {
    take: (scope, part, rules, patienceMs) =>
      shared.take(scope, part, rules, patienceMs).catch(() => own.take(scope, part, shareOf(rules), patienceMs)),
    async slowDown(scope, part, rules, closedMs) {
      await Promise.all([
        own.slowDown(scope, part, shareOf(rules), closedMs),
        shared.slowDown(scope, part, rules, closedMs).catch(() => undefined),
      ]);
    },
  };
}
