/**
 * Redis, and behind it the memory of this replica: what this replica has put is served although Redis is gone, empty or
 * read-only, until it expires. Without it, each read would ask Google for a new token just when things go badly.
 *
 * The memory may hold an older token than another replica has put since. That one is as valid until its end, and whether
 * a channel may be read at all is decided by its row, never by a cache.
 */
import type { AccessTokenCache } from '../ports.ts';

export function withFallback(shared: AccessTokenCache, own: AccessTokenCache): AccessTokenCache {
  return {
    keyOf: shared.keyOf,
    async get(tenant, key) {
      return (await shared.get(tenant, key)) ?? (await own.get(tenant, key));
    },
    async put(tenant, key, token) {
      const [stored] = await Promise.all([shared.put(tenant, key, token), own.put(tenant, key, token)]);
      return stored;
    },
    async drop(key) {
      await Promise.all([shared.drop(key), own.drop(key)]);
    },
    check: shared.check,
  };
}
