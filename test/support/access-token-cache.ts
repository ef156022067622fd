import { randomBytes } from 'node:crypto';
import { Redis as Client } from 'ioredis';
import { createAccessTokenCache } from '../../broker/cache/access-token-cache.ts';
import { createRedis } from '../../broker/cache/redis.ts';
import { Secret } from '../../broker/domain/secret.ts';
import type { AccessTokenCache, CachedToken, Clock, TenantKeys } from '../../broker/ports.ts';
import { createDataKeys } from '../../broker/vault/data-keys.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import type { Redis } from '../../stack/redis.ts';
import { useRedis } from './redis.ts';
import { atEnd, type Scope } from './scope.ts';
import { useSetUpVault } from './vault-set-up.ts';

export type DataKeySource = Pick<TenantKeys, 'createDataKey' | 'unwrapDataKey'>;

export interface FakeClock extends Clock {
  advance(seconds: number): void;
  /** The instant so many seconds from now. */
  in(seconds: number): Date;
}

export function fakeClock(): FakeClock {
  let now = Date.parse('2026-03-01T12:00:00Z');
  return {
    now: () => new Date(now),
    in: (seconds) => new Date(now + seconds * 1000),
    advance: (seconds) => {
      now += seconds * 1000;
    },
  };
}

export function aToken(accessToken: string, expiresAt: Date): CachedToken {
  return { accessToken: new Secret(accessToken), expiresAt };
}

/** Lends the transit keys of these tenants on a real Vault, with the broker's own rights. */
export async function useTenantKeys(scope: Scope, ...tenants: readonly string[]): Promise<TenantKeys> {
  const vault = await useSetUpVault(scope);
  const keys = createTenantKeys({ vault: await vault.asBroker(), transit: vault.layout.mounts.transit });
  for (const tenant of tenants) await keys.create(tenant);
  return keys;
}

/** Counts what is asked of Vault, and can be made to fail as Vault does. */
export interface CountedKeys extends DataKeySource {
  readonly asked: { created: number; unwrapped: number };
  failure: Error | undefined;
}

export function countKeys(keys: DataKeySource): CountedKeys {
  const counted: CountedKeys = {
    asked: { created: 0, unwrapped: 0 },
    failure: undefined,
    async createDataKey(tenant) {
      counted.asked.created += 1;
      if (counted.failure) throw counted.failure;
      return keys.createDataKey(tenant);
    },
    async unwrapDataKey(tenant, wrapped) {
      counted.asked.unwrapped += 1;
      if (counted.failure) throw counted.failure;
      return keys.unwrapDataKey(tenant, wrapped);
    },
  };
  return counted;
}

export interface RedisCaches {
  readonly server: Redis;
  /** A look into Redis beside the caches. */
  readonly client: Client;
  /** Every line that the caches have logged. */
  readonly log: readonly string[];
  /** A cache as a broker of its own would have it. */
  open(given?: { readonly clock?: Clock; readonly keys?: DataKeySource; readonly url?: string }): AccessTokenCache;
}

/** Starts a Redis and lends caches on it. */
export async function useRedisCaches(scope: Scope, keys: DataKeySource): Promise<RedisCaches> {
  const server = await useRedis(scope, { password: 'redis-canary' });
  const client = new Client(server.url, { retryStrategy: () => 10, maxRetriesPerRequest: null });
  client.on('error', () => {});
  atEnd(scope, () => client.disconnect());
  const log: string[] = [];
  const write = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`);
  return {
    server,
    client,
    log,
    open(given = {}) {
      const redis = createRedis({
        url: given.url ?? server.url,
        random: Math.random,
        log: { info: write, warn: write },
      });
      atEnd(scope, () => redis.close());
      const clock = given.clock ?? { now: () => new Date() };
      return createAccessTokenCache({
        redis,
        dataKeys: createDataKeys({ keys: given.keys ?? keys, clock }),
        clock,
        random: randomBytes,
        log: { info: write, warn: write },
        prefix: 'broker:',
      });
    },
  };
}
