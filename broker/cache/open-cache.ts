/** Opens the cache of access tokens: Redis, or the memory of this process where no `REDIS_URL` is set. */
import type { RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import type { AccessTokenCache, Clock, TenantKeys } from '../ports.ts';
import { createAccessTokenCache } from './access-token-cache.ts';
import { createInProcessAccessTokenCache } from './in-process.ts';
import { type CacheLog, createRedis } from './redis.ts';

export function openCache(deps: {
  readonly redisUrl: Secret<string> | undefined;
  readonly keys: TenantKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  /** Answers 0 to 1. */
  readonly randomFraction: () => number;
  readonly log: CacheLog;
}): AccessTokenCache & { close(): void } {
  const { redisUrl, keys, clock, random, randomFraction, log } = deps;
  if (!redisUrl) {
    log.warn({}, 'REDIS_URL is not set: keeping access tokens in the memory of this process, for one replica only');
    return { ...createInProcessAccessTokenCache({ clock }), close: () => undefined };
  }
  const redis = createRedis({ url: redisUrl.reveal(), random: randomFraction, log });
  return { ...createAccessTokenCache({ redis, keys, clock, random, log }), close: () => redis.close() };
}
