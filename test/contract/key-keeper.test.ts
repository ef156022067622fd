/** The key keeper on a real Vault and a real PostgreSQL: alone, beside another, killed, and on a schedule. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Secret } from '../../broker/domain/secret.ts';
import type { Store, TenantKeys } from '../../broker/ports.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { brokerRole } from '../../vault-policies/layout.ts';
import { createKeeper } from '../support/key-keeper.ts';
import { until } from '../support/poll.ts';
import { atEnd } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { aConsent, anActiveChannel, aReceivedGrant, aRecord, fill } from '../support/store-fixtures.ts';
import { credentialFiles, useSetUpVault } from '../support/vault-set-up.ts';

const day = 86_400_000;
const vault = await useSetUpVault({ after });
const { transit, approle } = vault.layout.mounts;
const connection = await vault.asBroker();
let worlds = 0;

/** Adds a tenant prefix to the names of keys, so that each test has a key of its own. */
async function keysOfTheirOwn(): Promise<{ keys: TenantKeys; name: string }> {
  worlds++;
  const name = `acme-${worlds}`;
  const keys = createTenantKeys({ vault: connection, transit });
  await keys.create(name);
  return { keys, name };
}

async function fillRows(store: Store, keys: TenantKeys, name: string, count: number): Promise<readonly string[]> {
  await store.tenants.create({ name, admins: [], createdAt: new Date() }, aRecord('tenant.create', { tenant: name }));
  const ids = Array.from({ length: count }, (_row, index) => `ch_${name}_${String(index).padStart(5, '0')}`);
  for (const id of ids) {
    const refreshTokenEncrypted = await keys.encrypt(
      { tenant: name, channel: id, generation: 1 },
      new Secret(`token of ${id}`),
    );
    const channel = anActiveChannel({ id, tenant: name, name: id.replaceAll('_', '-') }, { refreshTokenEncrypted });
    await store.channels.create(channel, aRecord('channel.add', { channel: id, tenant: name }));
  }
  return ids;
}

async function assertAllOpen(store: Store, keys: TenantKeys, name: string, ids: readonly string[], version: number) {
  assert.deepEqual(await store.ciphertexts.countByKeyVersion(name), [{ version, rows: ids.length }]);
  for (const id of ids) {
    const ciphertext = (await store.channels.find(id))?.grant?.refreshTokenEncrypted ?? '';
    const opened = await keys.decrypt({ tenant: name, channel: id, generation: 1 }, ciphertext);
    assert.equal(opened.reveal(), `token of ${id}`);
  }
}

async function rewraps(store: Store, name: string): Promise<readonly object[]> {
  const records = await store.audit.list({ tenant: name, limit: 200 });
  return records.filter(({ action }) => action === 'tenant.key-rewrap').map(({ facts }) => facts);
}

test('two keepers at once do the work once', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const ids = await fillRows(store, keys, name, 30);
  await keys.rotate(name);
  let moved = 0;
  const onRewrapped = (rows: number) => {
    moved += rows;
  };
  const onFault = () => undefined;
  const sent: number[] = [];
  const counting: TenantKeys = {
    ...keys,
    rewrapBatch: (of, ciphertexts) => {
      sent.push(ciphertexts.length);
      return keys.rewrapBatch(of, ciphertexts);
    },
  };
  const keepers = [1, 2].map(() => createKeeper({ store, keys: counting, onRewrapped, onFault }).keeper);
  await Promise.all(keepers.map((keeper) => keeper.runOnce()));
  assert.equal(moved, ids.length);
  assert.deepEqual(sent, [ids.length]);
  await assertAllOpen(store, keys, name, ids, 2);
  assert.equal((await rewraps(store, name)).length, 1);
});

test('a keeper that is killed in the middle loses nothing, and another goes on when its claim has lapsed', async (t) => {
  const { store, url } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const ids = await fillRows(store, keys, name, 20);
  await keys.rotate(name);
  const files = await credentialFiles(t, vault.operator, vault.layout, brokerRole);
  const child = spawn(process.execPath, [fileURLToPath(new URL('../support/key-keeper-process.ts', import.meta.url))], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: url,
      VAULT_ADDR: vault.address,
      TRANSIT: transit,
      APPROLE: approle,
      ROLE_ID: files.roleIdFile,
      SECRET_ID: files.secretIdFile,
    },
    stdio: 'inherit',
  });
  const ended = once(child, 'exit');
  const movedRows = async () =>
    (await store.ciphertexts.countByKeyVersion(name)).find(({ version }) => version === 2)?.rows ?? 0;
  await until('some rows are moved', async () => (await movedRows()) > 0, 30_000);
  child.kill('SIGKILL');
  await ended;
  const before = await movedRows();
  assert.ok(before < ids.length, 'it was killed too late');

  const onFault = () => undefined;
  await createKeeper({ store, keys, onFault }).keeper.runOnce();
  assert.equal(await movedRows(), before, 'the claim of the one that was killed did not hold');
  const later = { now: () => new Date(Date.now() + 61_000) };
  await createKeeper({ store, keys, clock: later, onFault }).keeper.runOnce();
  await assertAllOpen(store, keys, name, ids, 2);
  assert.deepEqual(await rewraps(store, name), [{ failed: 0, rows: ids.length - before, version: 2 }]);
});

test('a schedule rotates when the version is old enough, rewraps, and raises the minimum after the grace', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const ids = await fillRows(store, keys, name, 3);
  const record = aRecord('tenant.key-schedule', { tenant: name });
  await store.tenantKeys.setSchedule(name, 90 * day, record);
  const keepAt = async (days: number) => {
    const clock = { now: () => new Date(Date.now() + days * day) };
    const { keeper } = createKeeper({ store, keys, clock, graceMs: day, onFault: () => undefined });
    await keeper.runOnce();
    const key = await keys.describe(name);
    assert.ok('newestVersion' in key);
    return [key.newestVersion, key.minVersion];
  };
  assert.deepEqual(await keepAt(0), [1, 1]);
  assert.deepEqual(await keepAt(89), [1, 1]);
  assert.deepEqual(await keepAt(90.1), [2, 1]);
  await assertAllOpen(store, keys, name, ids, 2);
  // Vault dates the new version by its own clock, which stays: another rotation is due, and the grace is counted anew.
  await store.tenantKeys.setSchedule(
    name,
    900 * day,
    aRecord('tenant.key-schedule', { tenant: name, facts: { n: 2 } }),
  );
  assert.deepEqual(await keepAt(90.5), [2, 1]);
  assert.deepEqual(await keepAt(91.2), [2, 2]);
  assert.equal((await store.tenantKeys.find(name))?.minVersion, 2);
  await assertAllOpen(store, keys, name, ids, 2);
  const records = await store.audit.list({ tenant: name, limit: 200 });
  const acts = records.filter(({ callerKind, action }) => callerKind === 'scheduler' && action !== 'tenant.key-rewrap');
  assert.deepEqual(
    acts.toReversed().map(({ action, facts }) => [action, facts]),
    [
      ['tenant.key-rotate', { from: 1 }],
      ['tenant.key-notice', { from: 1, to: 2 }],
      ['tenant.key-min-version', { from: 1, to: 2 }],
    ],
  );
});

test('without a schedule nothing is rotated and no minimum is raised, however old the key', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  await fillRows(store, keys, name, 1);
  await keys.rotate(name);
  for (const days of [0, 4_000]) {
    const clock = { now: () => new Date(Date.now() + days * day) };
    await createKeeper({ store, keys, clock, graceMs: day, onFault: () => undefined }).keeper.runOnce();
  }
  const key = await keys.describe(name);
  assert.ok('newestVersion' in key);
  assert.deepEqual([key.newestVersion, key.minVersion], [2, 1]);
  assert.equal((await store.tenantKeys.find(name))?.minVersion, 1);
});

test('a row that cannot be rewrapped keeps the minimum where it is, schedule or not, and is named once', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const [id = ''] = await fillRows(store, keys, name, 1);
  // Made for another place: it opens nowhere.
  const elsewhere = await keys.encrypt({ tenant: name, channel: id, generation: 7 }, new Secret('token'));
  const grant = { id: `${id}_b`, tenant: name, name: 'swapped' };
  const swapped = anActiveChannel(grant, { refreshTokenEncrypted: elsewhere });
  await store.channels.create(swapped, aRecord('channel.add', { channel: swapped.id, tenant: name }));
  await keys.rotate(name);
  await store.tenantKeys.setSchedule(name, 9_000 * day, aRecord('tenant.key-schedule', { tenant: name }));
  const faults: unknown[] = [];
  for (const days of [0, 1, 30]) {
    const clock = { now: () => new Date(Date.now() + days * day) };
    const onFault = (fault: unknown) => void faults.push(fault);
    await createKeeper({ store, keys, clock, graceMs: day, onFault }).keeper.runOnce();
  }
  const { minVersion, rewrappedAt, rewrapFailed } = (await store.tenantKeys.find(name)) ?? {};
  assert.deepEqual([minVersion, rewrappedAt, rewrapFailed], [1, undefined, [`grant ${swapped.id}`]]);
  assert.deepEqual(await rewraps(store, name), [{ failed: 1, rows: 1, version: 2 }]);
  assert.ok(!faults.some((fault) => String(fault).includes('KEY_VERSION_IN_USE')));
});

test('a keeper whose claim another has taken stops before its next batch', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const [id = ''] = await fillRows(store, keys, name, 1);
  const invited = aRecord('consent.invite', { tenant: name });
  await store.consents.create(aConsent({ channel: id, tenant: name }), invited);
  const received = aReceivedGrant({
    generation: 2,
    refreshTokenEncrypted: await keys.encrypt({ tenant: name, channel: id, generation: 2 }, new Secret('second')),
  });
  await store.consents.receive(received, aRecord('consent.receive', { tenant: name }));
  await keys.rotate(name);
  const clock = { ahead: 0, now: () => new Date(Date.now() + clock.ahead) };
  let batches = 0;
  const slow: TenantKeys = {
    ...keys,
    rewrapBatch: async (of, ciphertexts) => {
      batches += 1;
      // Vault took so long that the claim lapsed.
      clock.ahead += 61_000;
      assert.ok(await store.tenantKeys.claim(name, clock.now(), new Date(clock.now().getTime() + 60_000)));
      return keys.rewrapBatch(of, ciphertexts);
    },
  };
  const faults: unknown[] = [];
  await createKeeper({ store, keys: slow, clock, onFault: (fault) => faults.push(fault) }).keeper.runOnce();
  assert.equal(batches, 1, 'grants and received grants are a batch each');
  assert.deepEqual(await rewraps(store, name), []);
  assert.ok(!faults.some((fault) => String(fault).includes(name)), 'being overtaken is no fault');
});

test('a replica learns of a new version that another one noticed, and looks at once when it is woken', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  await fillRows(store, keys, name, 1);
  const learned = new Map<string, number>();
  const { keeper } = createKeeper({
    store,
    keys,
    onVersion: (of, version) => learned.set(of, version),
    onFault: () => undefined,
  });
  keeper.start();
  atEnd(t, () => keeper.stop());
  await until('it has looked', () => learned.get(name) === 1);
  await keys.rotate(name);
  await store.tenantKeys.lookSoon(name);
  const other = createKeeper({ store, keys, onFault: () => undefined });
  await other.keeper.runOnce();
  await until('it knows', () => {
    keeper.wake();
    return learned.get(name) === 2;
  });
});

test('rows of an older version that are written during a rewrap are moved as well', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const { keys, name } = await keysOfTheirOwn();
  const [late = ''] = await fillRows(store, keys, name, 2);
  const old = await keys.encrypt({ tenant: name, channel: late, generation: 1 }, new Secret(`newer of ${late}`));
  await keys.rotate(name);
  let isFirst = true;
  const interrupted: TenantKeys = {
    ...keys,
    rewrapBatch: async (of, ciphertexts) => {
      const results = await keys.rewrapBatch(of, ciphertexts);
      if (!isFirst) return results;
      isFirst = false;
      // A refresh that brought another token, encrypted before the rotation, writes just before the keeper does.
      const now = new Date();
      const claim = await store.channels.claim(late, { now, until: new Date(now.getTime() + 60_000), owner: 'test' });
      assert.ok(claim);
      const success = {
        accessTokenCacheKey: 'token:late:1',
        tokenExpiresAt: new Date(now.getTime() + 3_600_000),
        refreshedAt: now,
        refreshDueAt: new Date(now.getTime() + 1_800_000),
        rotated: { refreshTokenEncrypted: old, refreshTokenHash: 'hash-newer' },
      };
      await store.channels.refreshed(claim, success, aRecord('token.refresh', { tenant: name, channel: late }));
      return results;
    },
  };
  await createKeeper({ store, keys: interrupted }).keeper.runOnce();
  assert.deepEqual(await store.ciphertexts.countByKeyVersion(name), [{ version: 2, rows: 2 }]);
  const ciphertext = (await store.channels.find(late))?.grant?.refreshTokenEncrypted ?? '';
  assert.equal(
    (await keys.decrypt({ tenant: name, channel: late, generation: 1 }, ciphertext)).reveal(),
    `newer of ${late}`,
  );
});
