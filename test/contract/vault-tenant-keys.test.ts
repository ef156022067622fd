import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import type { EncryptionContext } from '../../broker/ports.ts';
import { grantContext } from '../../broker/vault/encryption-context.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
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

  const { ciphertext } = await vault.operator.compute(
    `${transit}/rewrap/tenant-${tenant}`,
    { ciphertext: old, context: grantContext(context) },
    z.object({ ciphertext: z.string().startsWith('vault:v2:') }),
  );
  assert.equal((await keys.decrypt(context, ciphertext)).reveal(), '1//refresh');
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
