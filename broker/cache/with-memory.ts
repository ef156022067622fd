/**
 * Redis, and beside it the memory of this replica.
 *
 * Before Redis: where the memory holds the very token that the channel's row tells of, nobody is asked and nothing is decrypted.
 * Behind it: what this replica has put or read is served although Redis is gone, empty or read-only, until it expires.
 * Without that, each read would ask Google for a new token just when things go badly.
 *
 * The memory may hold an older token than another replica has put since. That one is as valid until its end, and whether
 * a channel may be read at all is decided by its row, never by a cache.
 */
import type { AccessTokenCache } from '../ports.ts';

export function withMemory(shared: AccessTokenCache, own: AccessTokenCache): AccessTokenCache {
  /** Rises with each `drop`: what was asked for before must not be kept after. */
  let drops = 0;
  return {
    keyOf: shared.keyOf,
    async get(tenant, key, newestEndsAt) {
      const before = drops;
      const mine = await own.get(tenant, key);
      if (mine && mine.expiresAt.getTime() === newestEndsAt?.getTime()) return mine;
      const found = await shared.get(tenant, key);
      if (found && before === drops) await own.put(tenant, key, found);
      return found ?? (await own.get(tenant, key));
    },
    async put(tenant, key, token) {
      const [stored] = await Promise.all([shared.put(tenant, key, token), own.put(tenant, key, token)]);
      return stored;
    },
    async drop(key) {
      drops += 1;
      await Promise.all([shared.drop(key), own.drop(key)]);
    },
    check: shared.check,
  };
}
