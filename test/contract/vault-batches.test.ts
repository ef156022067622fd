/** Concurrent calls for one key are few requests to Vault, and one bad item fails only itself. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { transit } = vault.layout.mounts;
const front = await useVaultFront({ after }, vault.address);
const broker = await vault.asBroker({ address: front.address });
const keys = createTenantKeys({ vault: broker, transit });
const dpopKeys = createDpopKeys({ vault: broker, transit });
await Promise.all([keys.create('acme'), keys.create('other'), dpopKeys.create('web')]);

const placeOf = (index: number) => ({ tenant: 'acme', channel: `channel-${index}`, generation: 1 });
const hundred = Array.from({ length: 100 }, (_, index) => index);
const sentTo = (path: string, from: number) =>
  front.requests.slice(from).filter((line) => line === `POST ${transit}/${path}`).length;

test('a hundred tokens of a tenant are encrypted in one request and decrypted in one', async () => {
  const before = front.requests.length;
  const ciphertexts = await Promise.all(
    hundred.map((index) => keys.encrypt(placeOf(index), new Secret(`1//${index}`))),
  );
  const tokens = await Promise.all(hundred.map((index) => keys.decrypt(placeOf(index), ciphertexts[index] ?? '')));
  assert.deepEqual(
    tokens.map((token) => token.reveal()),
    hundred.map((index) => `1//${index}`),
  );
  assert.equal(sentTo('encrypt/tenant-acme', before), 1);
  assert.equal(sentTo('decrypt/tenant-acme', before), 1);
});

test('a ciphertext that does not open fails alone, and says why', async () => {
  const ciphertexts = await Promise.all(
    [0, 1, 2].map((index) => keys.encrypt(placeOf(index), new Secret(`1//${index}`))),
  );
  const before = front.requests.length;
  const [first, swapped, third] = await Promise.allSettled([
    keys.decrypt(placeOf(0), ciphertexts[0] ?? ''),
    keys.decrypt(placeOf(1), ciphertexts[2] ?? ''),
    keys.decrypt(placeOf(2), ciphertexts[2] ?? ''),
  ]);
  assert.equal(sentTo('decrypt/tenant-acme', before), 1);
  assert.equal(first.status === 'fulfilled' && first.value.reveal(), '1//0');
  assert.equal(third.status === 'fulfilled' && third.value.reveal(), '1//2');
  assert.ok(swapped.status === 'rejected');
  assert.equal(swapped.reason.code, 'INTERNAL');
  assert.match(swapped.reason.cause.problems.join(), /authentication failed/);
});

test('where no ciphertext of a batch opens, each is told so and none of it is repeated', async () => {
  const ciphertext = await keys.encrypt(placeOf(0), new Secret('1//0'));
  const before = front.requests.length;
  const results = await Promise.allSettled([1, 2].map((index) => keys.decrypt(placeOf(index), ciphertext)));
  for (const result of results) {
    assert.ok(result.status === 'rejected');
    assert.equal(result.reason.code, 'INTERNAL');
    assert.match(result.reason.cause.problems.join(), /authentication failed/);
  }
  assert.equal(sentTo('decrypt/tenant-acme', before), 1);
});

test('two tenants are never in one request', async () => {
  const own = await keys.encrypt(placeOf(0), new Secret('1//own'));
  const place = { ...placeOf(0), tenant: 'other' };
  const others = await keys.encrypt(place, new Secret('1//other'));
  const before = front.requests.length;
  await Promise.all([keys.decrypt(placeOf(0), own), keys.decrypt(place, others)]);
  assert.equal(sentTo('decrypt/tenant-acme', before), 1);
  assert.equal(sentTo('decrypt/tenant-other', before), 1);
});

test('a hundred proofs are signed in one request, each version in its own, and a public half is read once', async () => {
  const version = await dpopKeys.rotate('web');
  assert.equal(version, 2);
  const before = front.requests.length;
  const signatures = await Promise.all(hundred.map((index) => dpopKeys.sign('web', 2, `input.${index}`)));
  assert.equal(new Set(signatures).size, 100);
  assert.equal(sentTo('sign/dpop-web', before), 1);
  await Promise.all([dpopKeys.sign('web', 1, 'a.b'), dpopKeys.sign('web', 2, 'a.b')]);
  assert.equal(sentTo('sign/dpop-web', before), 3);
  const reader = createDpopKeys({ vault: broker, transit });
  await Promise.all(hundred.map((index) => reader.publicKey('web', 1 + (index % 2))));
  const reads = front.requests.slice(before).filter((line) => line === `GET ${transit}/keys/dpop-web`);
  assert.equal(reads.length, 1);
});

test('a version that is not there fails alone, also among others', async () => {
  await assert.rejects(dpopKeys.sign('web', 9, 'a.b'), { code: 'INTERNAL' });
  await dpopKeys.sign('web', 1, 'a.b');
});
