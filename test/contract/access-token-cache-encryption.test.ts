/** How tokens lie in Redis, and what that costs of Vault. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { aToken, countKeys, fakeClock, useRedisCaches, useTenantKeys } from '../support/access-token-cache.ts';

const keys = await useTenantKeys({ after }, 'acme', 'other');
const caches = await useRedisCaches({ after }, keys);
const anHour = () => new Date(Date.now() + 3_600_000);
const newKey = () => `token:ch_${crypto.randomUUID()}:1`;

async function stored(key: string): Promise<Buffer> {
  const value = await caches.client.getBuffer(`broker:${key}`);
  assert.ok(value, `nothing is stored for ${key}`);
  return value;
}

test('stores a token encrypted, and for no longer than it lives', async () => {
  const cache = caches.open();
  const key = newKey();
  await cache.put('acme', key, aToken('ya29.canary', anHour()));
  const value = await stored(key);
  assert.ok(!value.includes('canary'));
  assert.ok(!value.includes(Buffer.from('ya29.canary').toString('base64')));
  const life = await caches.client.pttl(`broker:${key}`);
  assert.ok(life > 0 && life <= 3_600_000, `lives for ${life} ms`);
});

test('reads what another broker has stored, asking Vault once however many read', async () => {
  const counted = countKeys(keys);
  const writer = caches.open();
  const reader = caches.open({ keys: counted });
  const places = Array.from({ length: 20 }, newKey);
  for (const key of places) await writer.put('acme', key, aToken(`ya29.${key}`, anHour()));
  const found = await Promise.all(places.map((key) => reader.get('acme', key)));
  assert.deepEqual(
    found.map((token) => token?.accessToken.reveal()),
    places.map((key) => `ya29.${key}`),
  );
  assert.deepEqual(counted.asked, { created: 0, unwrapped: 1 });
});

test('makes one data key for a tenant and a day, however many write, and reads its own without Vault', async () => {
  const clock = fakeClock();
  const counted = countKeys(keys);
  const cache = caches.open({ clock, keys: counted });
  const put = async (tenant: string) => {
    const key = newKey();
    assert.ok(await cache.put(tenant, key, aToken('ya29.mine', clock.in(60))));
    assert.ok(await cache.get(tenant, key));
  };
  await Promise.all([put('acme'), put('acme'), put('acme')]);
  assert.deepEqual(counted.asked, { created: 1, unwrapped: 0 });
  await put('other');
  assert.equal(counted.asked.created, 2);
  clock.advance(24 * 60 * 60 - 1);
  await put('acme');
  assert.equal(counted.asked.created, 2);
  clock.advance(1);
  await put('acme');
  assert.deepEqual(counted.asked, { created: 3, unwrapped: 0 });
});

test('takes a value that was changed in any place for a miss', async () => {
  const cache = caches.open();
  const key = newKey();
  await cache.put('acme', key, aToken('ya29.canary', anHour()));
  const value = await stored(key);
  for (const position of value.keys()) {
    const changed = Buffer.from(value);
    changed.writeUInt8(changed.readUInt8(position) ^ 1, position);
    await caches.client.set(`broker:${key}`, changed);
    assert.equal(await cache.get('acme', key), undefined, `byte ${position} was changed unseen`);
  }
});

test('takes a value that was cut short for a miss', async () => {
  const cache = caches.open();
  const key = newKey();
  await cache.put('acme', key, aToken('ya29.canary', anHour()));
  const value = await stored(key);
  for (const length of [0, 1, 10, 11, 60, value.length - 1]) {
    await caches.client.set(`broker:${key}`, value.subarray(0, length));
    assert.equal(await cache.get('acme', key), undefined, `${length} bytes were taken for a token`);
  }
});

test('drops a value moved from another key, and says so without showing it', async () => {
  const cache = caches.open();
  const [from, to] = [newKey(), newKey()];
  await cache.put('acme', from, aToken('ya29.canary', anHour()));
  await caches.client.set(`broker:${to}`, await stored(from));
  assert.equal(await cache.get('acme', to), undefined);
  assert.equal(await caches.client.exists(`broker:${to}`), 0);
  const line = caches.log.find((logged) => logged.includes(to));
  assert.match(line ?? '', /^dropped a cached token that does not decrypt/);
  assert.doesNotMatch(caches.log.join('\n'), /canary/);
});

test('misses while Vault is sealed and the data key is not at hand, and keeps the value', async () => {
  const counted = countKeys(keys);
  const key = newKey();
  await caches.open().put('acme', key, aToken('ya29.canary', anHour()));
  const cache = caches.open({ keys: counted });
  counted.failure = new BrokerError('VAULT_SEALED');
  assert.equal(await cache.get('acme', key), undefined);
  assert.equal(await cache.put('acme', newKey(), aToken('ya29.new', anHour())), false);
  counted.failure = undefined;
  assert.equal((await cache.get('acme', key))?.accessToken.reveal(), 'ya29.canary');
  assert.equal(await cache.put('acme', newKey(), aToken('ya29.new', anHour())), true);
});
