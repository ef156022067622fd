/** The memory of a replica beside Redis: asked first for the newest token, and last when Redis has none. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createInProcessAccessTokenCache } from '../../broker/cache/in-process.ts';
import { withMemory } from '../../broker/cache/with-memory.ts';
import type { AccessTokenCache } from '../../broker/ports.ts';
import { aToken, fakeClock, useRedisCaches, useTenantKeys } from '../support/access-token-cache.ts';

const caches = await useRedisCaches({ after }, await useTenantKeys({ after }, 'acme'));
const clock = fakeClock();

/** Two replicas on one Redis, and how often each has asked it. */
function replicas() {
  const open = () => {
    const shared = caches.open({ clock });
    const asked: string[] = [];
    const counted: AccessTokenCache = {
      ...shared,
      get: (tenant, key) => {
        asked.push(key);
        return shared.get(tenant, key);
      },
    };
    return { cache: withMemory(counted, createInProcessAccessTokenCache({ clock })), asked };
  };
  return { one: open(), other: open(), key: `token:ch_${crypto.randomUUID()}:1` };
}

async function read(cache: AccessTokenCache, key: string, newestEndsAt?: Date): Promise<string | undefined> {
  return (await cache.get('acme', key, newestEndsAt))?.accessToken.reveal();
}

test('asks nobody for the very token that the row tells of', async () => {
  const { one, key } = replicas();
  await one.cache.put('acme', key, aToken('ya29.newest', clock.in(3_600)));
  assert.equal(await read(one.cache, key, clock.in(3_600)), 'ya29.newest');
  assert.deepEqual(one.asked, []);
});

test('asks Redis where another replica has put a newer token, and remembers that one', async () => {
  const { one, other, key } = replicas();
  await one.cache.put('acme', key, aToken('ya29.older', clock.in(1_800)));
  await other.cache.put('acme', key, aToken('ya29.newer', clock.in(3_600)));
  assert.equal(await read(one.cache, key, clock.in(3_600)), 'ya29.newer');
  assert.equal(await read(one.cache, key, clock.in(3_600)), 'ya29.newer');
  assert.deepEqual(one.asked, [key]);
});

test('asks Redis first where nobody says which token is the newest', async () => {
  const { one, other, key } = replicas();
  await one.cache.put('acme', key, aToken('ya29.older', clock.in(1_800)));
  await other.cache.put('acme', key, aToken('ya29.newer', clock.in(3_600)));
  assert.equal(await read(one.cache, key), 'ya29.newer');
});

test('serves what it has read from Redis when that has lost it', async () => {
  const { one, other, key } = replicas();
  await other.cache.put('acme', key, aToken('ya29.shared', clock.in(3_600)));
  assert.equal(await read(one.cache, key), 'ya29.shared');
  await other.cache.drop(key);
  assert.equal(await read(one.cache, key), 'ya29.shared');
});

test('keeps nothing of a token that was dropped while it was being read', async () => {
  const { other, key } = replicas();
  await other.cache.put('acme', key, aToken('ya29.dropped', clock.in(3_600)));
  const shared = caches.open({ clock });
  const [found, dropped] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow: AccessTokenCache = {
    ...shared,
    async get(tenant, at) {
      const token = await shared.get(tenant, at);
      found.resolve();
      await dropped.promise;
      return token;
    },
  };
  const cache = withMemory(slow, createInProcessAccessTokenCache({ clock }));
  const reading = read(cache, key);
  await found.promise;
  await cache.drop(key);
  dropped.resolve();
  assert.equal(await reading, 'ya29.dropped');
  assert.equal(await read(cache, key, clock.in(3_600)), undefined);
});
