import type { RandomBytes } from '../domain/identifier.ts';
import { asBrokerError } from '../errors.ts';
import type { AccessTokenCache, CachedToken, Clock, DataKeys } from '../ports.ts';
import type { CacheLog, RedisConnection } from './redis.ts';
import { type Place, readTokenEnvelope, sealToken } from './token-envelope.ts';
import { tokenKey } from './token-key.ts';

/**
 * Access tokens in Redis, encrypted (see `token-envelope.ts`). `get`, `put` and `drop` never throw: Redis or Vault away
 * is a miss. `prefix` begins all keys, so that installations can share a Redis.
 */
export function createAccessTokenCache({
  redis,
  dataKeys,
  clock,
  random,
  log,
  prefix = '',
}: {
  readonly redis: RedisConnection;
  readonly dataKeys: DataKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: CacheLog;
  readonly prefix?: string;
}): AccessTokenCache {
  async function read(place: Place): Promise<CachedToken | undefined> {
    const value = await redis.get(prefix + place.key);
    if (value === undefined) return undefined;
    const envelope = readTokenEnvelope(value);
    if (envelope === undefined) return dropUnreadable(place);
    if (envelope.expiresAt <= clock.now()) return undefined;
    try {
      return envelope.open(place, await dataKeys.unwrap(place.tenant, envelope.wrappedKey));
    } catch (error) {
      // A data key that Vault cannot unwrap now is no fault of the value.
      if (asBrokerError(error).code !== 'INTERNAL') throw error;
      return dropUnreadable(place);
    }
  }

  async function dropUnreadable({ tenant, key }: Place): Promise<undefined> {
    log.warn({ tenant, key }, 'dropped a cached token that does not decrypt');
    await redis.delete(prefix + key);
  }

  async function write(place: Place, token: CachedToken): Promise<boolean> {
    const dataKey = await dataKeys.current(place.tenant);
    const value = sealToken(place, token, dataKey, random);
    const life = token.expiresAt.getTime() - clock.now().getTime();
    if (life <= 0) return false;
    await redis.set(prefix + place.key, value, life);
    return true;
  }

  async function unlessItFails<T, U>(promise: Promise<T>, otherwise: U): Promise<T | U> {
    try {
      return await promise;
    } catch (error) {
      // Redis and Vault away are told by their connections, once and not for each read.
      const { code, detail } = asBrokerError(error);
      if (code === 'INTERNAL') log.warn({ detail }, 'the access-token cache failed');
      return otherwise;
    }
  }

  return {
    keyOf: tokenKey,
    get: (tenant, key) => unlessItFails(read({ tenant, key }), undefined),
    put: (tenant, key, token) => unlessItFails(write({ tenant, key }, token), false),
    drop: (key) => unlessItFails(redis.delete(prefix + key), undefined),
    check: () => redis.ping(),
  };
}
