/**
 * Opens the cache of access tokens and the rate limits: Redis with this process behind it, or only the memory of this
 * process where no `REDIS_URL` is set.
 */
import type { RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import type { AccessTokenCache, Clock, DataKeys, RateLimits } from '../ports.ts';
import { createAccessTokenCache } from './access-token-cache.ts';
import { createInProcessAccessTokenCache } from './in-process.ts';
import { createInProcessRateLimits, createRedisRateLimits, rateLimitsWithFallback } from './rate-limits.ts';
import { type CacheLog, createRedis } from './redis.ts';
import { withMemory } from './with-memory.ts';

export function openCache(deps: {
  readonly redisUrl: Secret<string> | undefined;
  readonly dataKeys: DataKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Answers 0 to 1. */
  readonly randomFraction: () => number;
  readonly log: CacheLog;
  /** How many brokers share the rate limits, while Redis is away. */
  readonly replicas: number;
}): { readonly cache: AccessTokenCache; readonly rateLimits: RateLimits; close(): void } {
  const { redisUrl, dataKeys, clock, random, randomFraction, log, replicas } = deps;
  const own = createInProcessAccessTokenCache({ clock });
  const ownLimits = createInProcessRateLimits({ clock });
  if (!redisUrl) {
    log.warn({}, 'REDIS_URL is not set: keeping access tokens in the memory of this process, for one replica only');
    return { cache: own, rateLimits: ownLimits, close: () => undefined };
  }
  const redis = createRedis({ url: redisUrl.reveal(), random: randomFraction, log });
  const shared = createAccessTokenCache({ redis, dataKeys, clock, random, log });
  const rateLimits = rateLimitsWithFallback(createRedisRateLimits({ redis, clock }), ownLimits, replicas);
  return { cache: withMemory(shared, own), rateLimits, close: () => redis.close() };
}
