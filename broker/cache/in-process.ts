import type { AccessTokenCache, CachedToken, Clock } from '../ports.ts';
import { tokenKey } from './token-key.ts';

const sweepEveryMs = 60_000;

/** The twin of the Redis cache for one broker without Redis: tokens in this process's memory, gone with it. */
export function createInProcessAccessTokenCache({ clock }: { readonly clock: Clock }): AccessTokenCache {
  const stored = new Map<string, { readonly tenant: string; readonly token: CachedToken }>();
  let sweepAt = 0;

  function sweep(now: Date): void {
    if (now.getTime() < sweepAt) return;
    sweepAt = now.getTime() + sweepEveryMs;
    for (const [key, { token }] of stored) {
      if (token.expiresAt <= now) stored.delete(key);
    }
  }

  return {
    keyOf: tokenKey,
    async get(tenant, key) {
      const found = stored.get(key);
      if (found?.tenant !== tenant || found.token.expiresAt <= clock.now()) return undefined;
      return found.token;
    },
    async put(tenant, key, token) {
      const now = clock.now();
      sweep(now);
      if (token.expiresAt <= now) return false;
      stored.set(key, { tenant, token });
      return true;
    },
    async drop(key) {
      stored.delete(key);
    },
    async check() {},
  };
}
