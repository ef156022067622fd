/** What every access-token cache does, held against the one on a real Redis and real Vault keys and its in-process twin. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createInProcessAccessTokenCache } from '../../broker/cache/in-process.ts';
import { withMemory } from '../../broker/cache/with-memory.ts';
import type { AccessTokenCache } from '../../broker/ports.ts';
import { aToken, type FakeClock, fakeClock, useRedisCaches, useTenantKeys } from '../support/access-token-cache.ts';

const caches = await useRedisCaches({ after }, await useTenantKeys({ after }, 'acme', 'other'));

describe('on Redis', () => contract((clock) => caches.open({ clock })));
describe('in process', () => contract((clock) => createInProcessAccessTokenCache({ clock })));
describe('on Redis with the own memory', () => contract((clock) => remembering(caches.open({ clock }), clock)));

function remembering(shared: AccessTokenCache, clock: FakeClock): AccessTokenCache {
  return withMemory(shared, createInProcessAccessTokenCache({ clock }));
}

function contract(open: (clock: FakeClock) => AccessTokenCache): void {
  /** A cache of its own clock, and the key of a channel that no other test uses. */
  function begin() {
    const clock = fakeClock();
    const cache = open(clock);
    return { clock, cache, key: cache.keyOf(`ch_${crypto.randomUUID()}`, 1) };
  }

  test('names a key after channel and generation only', () => {
    const { cache } = begin();
    assert.equal(cache.keyOf('ch_1', 2), 'token:ch_1:2');
  });

  test('gives a token back until it expires, and not a moment longer', async () => {
    const { clock, cache, key } = begin();
    assert.equal(await cache.get('acme', key), undefined);
    const token = aToken('ya29.first', clock.in(3_600));
    assert.equal(await cache.put('acme', key, token), true);
    const found = await cache.get('acme', key);
    assert.equal(found?.accessToken.reveal(), 'ya29.first');
    assert.deepEqual(found.expiresAt, token.expiresAt);
    clock.advance(3_599);
    assert.equal((await cache.get('acme', key))?.accessToken.reveal(), 'ya29.first');
    clock.advance(1);
    assert.equal(await cache.get('acme', key), undefined);
  });

  test('does not store a token that has expired', async () => {
    const { clock, cache, key } = begin();
    assert.equal(await cache.put('acme', key, aToken('ya29.old', clock.in(0))), false);
    assert.equal(await cache.get('acme', key), undefined);
  });

  test('keeps the newest token of a key', async () => {
    const { clock, cache, key } = begin();
    await cache.put('acme', key, aToken('ya29.first', clock.in(60)));
    await cache.put('acme', key, aToken('ya29.second', clock.in(3_600)));
    assert.equal((await cache.get('acme', key))?.accessToken.reveal(), 'ya29.second');
  });

  test('gives nothing of one tenant to another', async () => {
    const { clock, cache, key } = begin();
    await cache.put('acme', key, aToken('ya29.acme', clock.in(3_600)));
    assert.equal(await cache.get('other', key), undefined);
  });

  test('forgets a token that is dropped, and no other', async () => {
    const { clock, cache, key } = begin();
    const next = `${key}0`;
    await cache.put('acme', key, aToken('ya29.first', clock.in(3_600)));
    await cache.put('acme', next, aToken('ya29.next', clock.in(3_600)));
    await cache.drop(key);
    await cache.drop(key);
    assert.equal(await cache.get('acme', key), undefined);
    assert.equal((await cache.get('acme', next))?.accessToken.reveal(), 'ya29.next');
  });

  test('says that it works', async () => {
    await begin().cache.check();
  });
}
