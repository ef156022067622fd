import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import { rewrapBatchRows } from '../../broker/flow/rewrap-ciphertexts.ts';
import type { EncryptionContext } from '../../broker/ports.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { atEnd } from '../support/scope.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const place: EncryptionContext = { tenant: 'acme', channel: 'channel-1', generation: 1 };
const vault = await useSetUpVault({ after });
const keys = createTenantKeys({ vault: await vault.asBroker(), transit: vault.layout.mounts.transit });
await keys.create('acme');
await keys.create('other');

test('a refresh token comes back from its own place', async () => {
  const ciphertext = await keys.encrypt(place, new Secret('1//refresh-✓'));
  assert.match(ciphertext, /^vault:v1:/);
  assert.equal((await keys.decrypt(place, ciphertext)).reveal(), '1//refresh-✓');
});

for (const [what, elsewhere] of [
  ['another channel', { ...place, channel: 'channel-2' }],
  ['another generation', { ...place, generation: 2 }],
  ['another tenant', { ...place, tenant: 'other' }],
] as const) {
  test(`a ciphertext does not open for ${what}`, async () => {
    const ciphertext = await keys.encrypt(place, new Secret('1//refresh'));
    await assert.rejects(keys.decrypt(elsewhere, ciphertext), { code: 'INTERNAL' });
  });
}

test('of very many ciphertexts every one is tried whether it opens', async () => {
  const places = Array.from({ length: 260 }, (_, index) => ({ channel: `channel-${index}`, generation: 1 }));
  const items = await Promise.all(
    places.map(async (each) => ({
      ...each,
      ciphertext: await keys.encrypt({ tenant: 'acme', ...each }, new Secret('1//refresh')),
    })),
  );
  assert.equal(await keys.countOpening('acme', items), 260);
  const elsewhere = items.map((item) => ({ ...item, generation: 2 }));
  assert.equal(await keys.countOpening('acme', [...elsewhere, ...items.slice(0, 3)]), 3);
  assert.equal(await keys.countOpening('other', items), 0);
});

test('a data key comes back for its tenant, and for no other', async () => {
  const { key, wrapped } = await keys.createDataKey('acme');
  assert.equal(key.reveal().length, 32);
  assert.deepEqual((await keys.unwrapDataKey('acme', wrapped)).reveal(), key.reveal());
  await assert.rejects(keys.unwrapDataKey('other', wrapped), { code: 'INTERNAL' });
  await assert.rejects(keys.decrypt(place, wrapped), { code: 'INTERNAL' });
});

test('a rotated key opens what its older version closed, also after a rewrap', async () => {
  const tenant = 'rotated';
  const context = { ...place, tenant };
  await keys.create(tenant);
  const old = await keys.encrypt(context, new Secret('1//refresh'));
  const { transit } = vault.layout.mounts;
  await vault.operator.write(`${transit}/keys/tenant-${tenant}/rotate`, {});
  assert.match(await keys.encrypt(context, new Secret('1//refresh')), /^vault:v2:/);
  assert.equal((await keys.decrypt(context, old)).reveal(), '1//refresh');

  const [rewrapped] = await keys.rewrapBatch(tenant, [{ ...context, ciphertext: old }]);
  assert.ok(rewrapped && 'ciphertext' in rewrapped);
  assert.match(rewrapped.ciphertext, /^vault:v2:/);
  assert.equal((await keys.decrypt(context, rewrapped.ciphertext)).reveal(), '1//refresh');
});

test('a ciphertext that cannot be rewrapped is named in its place and does not hurt the others', async () => {
  await keys.create('batch');
  const at = (channel: string) => ({ tenant: 'batch', channel, generation: 1 });
  const [one, two] = [
    await keys.encrypt(at('one'), new Secret('1//1')),
    await keys.encrypt(at('two'), new Secret('1//2')),
  ];
  await keys.rotate('batch');
  const results = await keys.rewrapBatch('batch', [
    { ...at('one'), ciphertext: one },
    { ...at('two'), ciphertext: one },
    { ...at('one'), ciphertext: 'vault:v1:bm90IG9uZQ==' },
    { ...at('two'), generation: 2, ciphertext: two },
    { ...at('two'), ciphertext: two },
  ]);
  assert.deepEqual(
    results.map((result) => 'problem' in result),
    [false, true, true, true, false],
  );
  const last = results.at(-1);
  assert.ok(last && 'ciphertext' in last);
  assert.equal((await keys.decrypt(at('two'), last.ciphertext)).reveal(), '1//2');
});

test('a batch as large as the key keeper makes is taken by the server, and so are as many encryptions at once', async () => {
  await keys.create('many');
  const places = Array.from({ length: 600 }, (_each, index) => ({
    tenant: 'many',
    channel: `c${index}`,
    generation: 1,
  }));
  const ciphertexts = await Promise.all(places.map((each) => keys.encrypt(each, new Secret('1//refresh'))));
  const batch = places.map((each, index) => ({ ...each, ciphertext: ciphertexts[index] ?? '' }));
  const results = await keys.rewrapBatch('many', batch.slice(0, rewrapBatchRows));
  assert.ok(results.every((result) => 'ciphertext' in result));
});

test('a key tells its versions and its minimum, below which nothing opens any more', async () => {
  await keys.create('aged');
  const context = { ...place, tenant: 'aged' };
  const old = await keys.encrypt(context, new Secret('1//refresh'));
  await keys.rotate('aged');
  const before = await keys.describe('aged');
  assert.ok('versions' in before);
  assert.deepEqual([before.newestVersion, before.minVersion], [2, 1]);
  assert.deepEqual(
    before.versions.map(({ version }) => version),
    [1, 2],
  );
  assert.ok(before.versions.every(({ createdAt }) => Math.abs(createdAt.getTime() - Date.now()) < 600_000));
  await keys.setMinVersion('aged', 2);
  const after = await keys.describe('aged');
  assert.ok('minVersion' in after);
  assert.equal(after.minVersion, 2);
  await assert.rejects(keys.decrypt(context, old), { code: 'INTERNAL' });
});

test('a key that is missing, or would ignore the context, is told as such', async () => {
  assert.deepEqual(await keys.describe('nobody'), { fault: 'missing' });
  const { transit } = vault.layout.mounts;
  await vault.operator.write(`${transit}/keys/tenant-flat`, { type: 'aes256-gcm96', derived: false });
  await vault.operator.write(`${transit}/keys/tenant-signer`, { type: 'ecdsa-p256' });
  assert.deepEqual(await keys.describe('flat'), { fault: 'unsuitable' });
  assert.deepEqual(await keys.describe('signer'), { fault: 'unsuitable' });
});

test('creating a tenant key twice leaves the first one in place', async () => {
  await keys.create('twice');
  const ciphertext = await keys.encrypt({ ...place, tenant: 'twice' }, new Secret('1//refresh'));
  await keys.create('twice');
  assert.equal((await keys.decrypt({ ...place, tenant: 'twice' }, ciphertext)).reveal(), '1//refresh');
});

test('the key is derived, cannot be exported, backed up or deleted', async () => {
  const key = await vault.operator.read(
    `${vault.layout.mounts.transit}/keys/tenant-acme`,
    z.looseObject({ derived: z.boolean() }),
  );
  const { type, derived, exportable, allow_plaintext_backup, deletion_allowed } = key;
  assert.deepEqual(
    { type, derived, exportable, allow_plaintext_backup, deletion_allowed },
    {
      type: 'aes256-gcm96',
      derived: true,
      exportable: false,
      allow_plaintext_backup: false,
      deletion_allowed: false,
    },
  );
});

test('a key that would ignore the context is refused', async () => {
  const path = `${vault.layout.mounts.transit}/keys/tenant-plain`;
  await vault.operator.write(path, { type: 'aes256-gcm96', derived: false });
  await assert.rejects(keys.create('plain'), { code: 'INTERNAL' });
});

test('a tenant name that could lead to another path is refused before anything is sent', async () => {
  for (const name of ['../../sys', 'a/b', 'a*', '', 'A', 'a.b', '-a']) {
    await assert.rejects(async () => keys.create(name), { code: 'INVALID_REQUEST' });
  }
});

test('Vault has one rewrap at a time, however many are wanted', async (t) => {
  const front = await useVaultFront(t, vault.address);
  const broker = await vault.asBroker({ address: front.address });
  atEnd(t, () => broker.close());
  const behindFront = createTenantKeys({ vault: broker, transit: vault.layout.mounts.transit });
  const ciphertext = await behindFront.encrypt(place, new Secret('1//refresh'));
  const batch = Array.from({ length: rewrapBatchRows }, () => ({ ...place, ciphertext }));
  await Promise.all([1, 2, 3, 4].map(() => behindFront.rewrapBatch('acme', batch)));
  assert.equal(front.mostAtOnce(/rewrap/), 1);
});
