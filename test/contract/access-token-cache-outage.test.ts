/** Redis gone, empty, silent, read-only or closed to us: a miss each time, never an error, and no restart afterwards. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AccessTokenCache } from '../../broker/ports.ts';
import { aToken, type RedisCaches, useRedisCaches, useTenantKeys } from '../support/access-token-cache.ts';

const keys = await useTenantKeys({ after }, 'acme');
const key = 'token:ch_1:1';
const anHour = () => new Date(Date.now() + 3_600_000);
const put = (cache: AccessTokenCache) => cache.put('acme', key, aToken('ya29.canary', anHour()));
const get = async (cache: AccessTokenCache) => (await cache.get('acme', key))?.accessToken.reveal();

async function works(cache: AccessTokenCache): Promise<void> {
  while (!(await put(cache))) await delay(10);
  assert.equal(await get(cache), 'ya29.canary');
  await cache.check();
}

async function missesWithoutError(cache: AccessTokenCache): Promise<void> {
  assert.equal(await get(cache), undefined);
  assert.equal(await put(cache), false);
  await cache.drop(key);
  await assert.rejects(cache.check(), { code: 'STORE_UNAVAILABLE' });
}

function showsNoSecret(caches: RedisCaches): void {
  assert.doesNotMatch(caches.log.join('\n'), /canary/);
}

test('misses while Redis is stopped, says so once, and works again when it is back', async (t) => {
  const caches = await useRedisCaches(t, keys);
  const cache = caches.open();
  await works(cache);
  await caches.server.stop();
  for (let reads = 0; reads < 20; reads += 1) await missesWithoutError(cache);
  const told = caches.log.filter((line) => line.startsWith('redis does not do as asked'));
  assert.ok(told.some((line) => line.includes('"get"')));
  assert.equal(new Set(told).size, told.length, told.join('\n'));
  await caches.server.start();
  await works(cache);
  showsNoSecret(caches);
});

test('misses where Redis was never there, and works when it comes', async (t) => {
  const caches = await useRedisCaches(t, keys);
  await caches.server.stop();
  const cache = caches.open();
  await missesWithoutError(cache);
  await caches.server.start();
  await works(cache);
});

test('hangs up on a Redis that accepts and does not answer, and misses meanwhile', async (t) => {
  const caches = await useRedisCaches(t, keys);
  const cache = caches.open();
  await works(cache);
  caches.server.pause();
  while (!caches.log.some((line) => line.includes('"connect"'))) await missesWithoutError(cache);
  caches.server.resume();
  await works(cache);
});

test('misses what Redis has lost', async (t) => {
  const caches = await useRedisCaches(t, keys);
  const cache = caches.open();
  await works(cache);
  await caches.client.flushall();
  assert.equal(await get(cache), undefined);
  await works(cache);
});

test('still reads from a Redis that takes no writes', async (t) => {
  const caches = await useRedisCaches(t, keys);
  const cache = caches.open();
  await works(cache);
  await caches.client.config('SET', 'min-replicas-to-write', '1');
  assert.equal(await put(cache), false);
  assert.equal(await get(cache), 'ya29.canary');
  await caches.client.config('SET', 'min-replicas-to-write', '0');
  await works(cache);
  assert.ok(caches.log.includes('redis does not do as asked {"what":"set","reason":"NOREPLICAS"}'));
  showsNoSecret(caches);
});

test('misses where Redis refuses the password, and shows it to nobody', async (t) => {
  const caches = await useRedisCaches(t, keys);
  const url = new URL(caches.server.url);
  url.password = 'wrong-canary';
  await missesWithoutError(caches.open({ url: url.href }));
  assert.ok(caches.log.includes('redis does not do as asked {"what":"connect","reason":"WRONGPASS"}'));
  showsNoSecret(caches);
});
