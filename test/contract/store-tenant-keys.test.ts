/** The record of tenants' keys: rows by key version, the claim, and the minimum that no writer slips below. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { until } from '../support/poll.ts';
import { useStore } from '../support/store.ts';
import {
  aConsent,
  aFirstToken,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  aRefresh,
  aRequest,
  fill,
  lease,
  minute,
  start,
} from '../support/store-fixtures.ts';

const raised = aRecord('tenant.key-min-version');

test('counts every ciphertext of a tenant by its key version: grants, received ones and verifiers', async (t) => {
  const { store } = await useStore(t);
  await fill(
    store,
    anActiveChannel(),
    anActiveChannel({ id: 'ch_2', name: 'two' }, { refreshTokenEncrypted: 'vault:v12:x' }),
  );
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  await store.consents.begin(
    'co_1',
    aRequest({ codeVerifierEncrypted: 'vault:v3:verifier' }),
    aRecord('consent.begin'),
  );
  await store.consents.receive(aReceivedGrant({ generation: 2 }), aRecord('consent.receive'));
  assert.deepEqual(await store.ciphertexts.countByKeyVersion('acme'), [
    { version: 1, rows: 2 },
    { version: 3, rows: 1 },
    { version: 12, rows: 1 },
  ]);
  const [verifier] = await store.ciphertexts.below('acme', 'verifier', 4, undefined, 10);
  assert.deepEqual(verifier, {
    id: 'co_1',
    channel: 'ch_1',
    generation: 0,
    ciphertext: 'vault:v3:verifier',
  });
  const [received] = await store.ciphertexts.below('acme', 'received', 4, undefined, 10);
  assert.deepEqual(received, {
    id: 'co_1',
    channel: 'ch_1',
    generation: 2,
    ciphertext: 'vault:v1:received',
  });
  assert.deepEqual(await store.ciphertexts.countByKeyVersion('other'), []);
});

test('goes through rows below a version once, in order, however small the steps', async (t) => {
  const { store } = await useStore(t);
  const versions = [2, 1, 10, 9, 1];
  const channels = versions.map((version, index) =>
    anActiveChannel({ id: `ch_${index}`, name: `n${index}` }, { refreshTokenEncrypted: `vault:v${version}:x` }),
  );
  await fill(store, ...channels);
  const seen: string[] = [];
  for (let after: { id: string } | undefined; ; ) {
    const [row] = await store.ciphertexts.below('acme', 'grant', 10, after, 1);
    if (!row) break;
    seen.push(row.id);
    after = row;
  }
  assert.deepEqual(seen, ['ch_0', 'ch_1', 'ch_3', 'ch_4']);
});

test('no index of channels names what a rewrap writes, so that none is touched by it', async (t) => {
  const { database } = await useStore(t);
  const { rows } = await database.run((db) =>
    sql<{ indexdef: string }>`select indexdef from pg_indexes where tablename = 'channels'`.execute(db),
  );
  assert.ok(rows.length > 5);
  const named = rows.filter(({ indexdef }) => /refresh_token_(encrypted|key_version)/.test(indexdef));
  assert.deepEqual(named, []);
});

test('a rewrapped ciphertext takes the place of the one it was made from, and of no other', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  const claim = await store.channels.claim('ch_2', lease(30, 31));
  assert.ok(claim);
  const rotated = { refreshTokenEncrypted: 'vault:v1:newer', refreshTokenHash: 'hash-newer' };
  await store.channels.refreshed(claim, aRefresh({ rotated }), aRecord('token.refresh'));
  const moved = await store.ciphertexts.replace('grant', [
    { id: 'ch_1', from: 'vault:v1:first', to: 'vault:v2:first' },
    { id: 'ch_2', from: 'vault:v1:first', to: 'vault:v2:stale' },
  ]);
  assert.equal(moved, 1);
  assert.equal((await store.channels.find('ch_1'))?.grant?.refreshTokenEncrypted, 'vault:v2:first');
  assert.equal((await store.channels.find('ch_2'))?.grant?.refreshTokenEncrypted, 'vault:v1:newer');
});

test('a rewrap during a refresh neither ends the claim nor loses what the refresh brings', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await store.channels.claim('ch_1', lease(30, 31));
  assert.ok(claim);
  await store.ciphertexts.replace('grant', [{ id: 'ch_1', from: 'vault:v1:first', to: 'vault:v2:first' }]);
  const rotated = { refreshTokenEncrypted: 'vault:v2:newer', refreshTokenHash: 'hash-newer' };
  await store.channels.refreshed(claim, aRefresh({ rotated }), aRecord('token.refresh'));
  assert.equal((await store.channels.find('ch_1'))?.grant?.refreshTokenEncrypted, 'vault:v2:newer');
});

test('a received grant that was rewrapped before its checks ended becomes the channel’s as it is now', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  const received = aReceivedGrant({ generation: 2 });
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.ciphertexts.replace('received', [{ id: 'co_1', from: 'vault:v1:received', to: 'vault:v2:received' }]);
  await store.consents.activate(received, anIdentity, minute(2), aFirstToken(), aRecord('consent.complete'));
  assert.equal((await store.channels.find('ch_1'))?.grant?.refreshTokenEncrypted, 'vault:v2:received');
});

test('one broker at a time works on a key; the claim lapses, and who was too slow cannot write', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const slow = await store.tenantKeys.claim('acme', start, minute(1));
  assert.ok(slow);
  assert.equal(await store.tenantKeys.claim('acme', start, minute(1)), undefined);
  const due = { now: start, lookedBefore: start, except: [] };
  assert.equal(await store.tenantKeys.claimDue(due, minute(1)), undefined);
  const next = await store.tenantKeys.claimDue({ now: minute(1), lookedBefore: minute(1), except: [] }, minute(2));
  assert.ok(next);
  await assert.rejects(store.tenantKeys.note(slow, { version: 2 }), { code: 'STORE_CONFLICT' });
  await assert.rejects(store.tenantKeys.extend(slow, minute(9)), { code: 'STORE_CONFLICT' });
  await assert.rejects(store.tenantKeys.raiseMinimum(slow, 2, raised), { code: 'STORE_CONFLICT' });
  await store.tenantKeys.note(next, { version: 2 });
  await store.tenantKeys.release(next, minute(1));
  assert.equal((await store.tenantKeys.find('acme'))?.version, 2);
  assert.equal(
    await store.tenantKeys.claimDue({ now: minute(2), lookedBefore: start, except: [] }, minute(3)),
    undefined,
  );
  await store.tenantKeys.lookSoon('acme');
  assert.ok(await store.tenantKeys.claimDue({ now: minute(2), lookedBefore: start, except: [] }, minute(3)));
});

test('a look that is wished for while one runs is not lost with the end of that', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const lookAt = (at: Date) =>
    store.tenantKeys.claimDue({ now: at, lookedBefore: start, except: [] }, new Date(at.getTime() + 60_000));
  const schedule = (n: number) =>
    store.tenantKeys.setSchedule('acme', 86_400_000, aRecord('tenant.key-schedule', { facts: { n } }));
  for (const wish of [() => store.tenantKeys.lookSoon('acme'), schedule]) {
    // The wish that a look fulfils is over with it; one that comes while it runs is not.
    await wish(1);
    const look = await lookAt(minute(1));
    assert.ok(look);
    await wish(2);
    await store.tenantKeys.release(look, minute(1));
    const next = await lookAt(minute(1));
    assert.ok(next, 'the wish was lost');
    await store.tenantKeys.release(next, minute(1));
    assert.equal(await lookAt(minute(1)), undefined);
  }
});

test('the key of a tenant that is being shredded is left alone', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  await database.run((db) => sql`update tenants set state = 'shredding'`.execute(db));
  assert.equal(await store.tenantKeys.claimDue({ now: start, lookedBefore: start, except: [] }, minute(1)), undefined);
});

test('the minimum is not raised over a row that needs an older version, and says how many', async (t) => {
  const { store } = await useStore(t);
  await fill(
    store,
    anActiveChannel(),
    anActiveChannel({ id: 'ch_2', name: 'two' }, { refreshTokenEncrypted: 'vault:v2:x' }),
  );
  const claim = await store.tenantKeys.claim('acme', start, minute(1));
  assert.ok(claim);
  const problems = ['1 row needs a version before 2'];
  await assert.rejects(store.tenantKeys.raiseMinimum(claim, 2, raised), { code: 'KEY_VERSION_IN_USE', problems });
  assert.equal((await store.tenantKeys.find('acme'))?.minVersion, 1);
  await store.ciphertexts.replace('grant', [{ id: 'ch_1', from: 'vault:v1:first', to: 'vault:v2:first' }]);
  await store.tenantKeys.raiseMinimum(claim, 2, raised);
  assert.equal((await store.tenantKeys.find('acme'))?.minVersion, 2);
});

test('once the minimum is raised, a ciphertext of an older version cannot be stored anywhere', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({}, { refreshTokenEncrypted: 'vault:v2:first' }));
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  const claim = await store.tenantKeys.claim('acme', start, minute(1));
  assert.ok(claim);
  await store.tenantKeys.raiseMinimum(claim, 2, raised);
  const retired = { code: 'KEY_VERSION_RETIRED' };
  const refresh = await store.channels.claim('ch_1', lease(30, 31));
  assert.ok(refresh);
  const rotated = { refreshTokenEncrypted: 'vault:v1:late', refreshTokenHash: 'hash-late' };
  await assert.rejects(store.channels.refreshed(refresh, aRefresh({ rotated }), aRecord('token.refresh')), retired);
  await assert.rejects(store.consents.receive(aReceivedGrant({ generation: 2 }), aRecord('consent.receive')), retired);
  await assert.rejects(store.consents.begin('co_1', aRequest(), aRecord('consent.begin')), retired);
  await assert.rejects(
    store.channels.create(anActiveChannel({ id: 'ch_2', name: 'two' }), aRecord('channel.add')),
    retired,
  );
  assert.equal((await store.channels.find('ch_1'))?.grant?.refreshTokenEncrypted, 'vault:v2:first');
});

test('raising the minimum waits for a writer under way, and then sees what it wrote', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel({}, { refreshTokenEncrypted: 'vault:v2:first' }));
  const claim = await store.tenantKeys.claim('acme', start, minute(1));
  assert.ok(claim);
  const { promise: mayCommit, resolve: commit } = Promise.withResolvers<void>();
  const { promise: written, resolve: wrote } = Promise.withResolvers<void>();
  const writer = database.transaction(async (trx) => {
    await trx.updateTable('channels').set({ refresh_token_encrypted: 'vault:v1:late' }).execute();
    wrote();
    await mayCommit;
  });
  await written;
  const raise = store.tenantKeys.raiseMinimum(claim, 2, raised);
  const refused = assert.rejects(raise, { code: 'KEY_VERSION_IN_USE' });
  await until('the raise waits', async () => {
    const { rows } = await database.run((db) =>
      sql`select 1 from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`.execute(db),
    );
    return rows.length === 1;
  });
  commit();
  await writer;
  await refused;
});
