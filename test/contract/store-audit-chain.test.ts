import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { appended, type ChainHead, emptyChain } from '../../broker/domain/audit-chain.ts';
import { toAuditRecord } from '../../broker/store/audit-log-row.ts';
import { writeAuditRecords } from '../../broker/store/audit-writer.ts';
import { createDatabase, type Database } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { databaseRoles, giveToOwner, urlAs } from '../../stack/postgres-roles.ts';
import { useCommitCutter } from '../support/commit-cutter.ts';
import { migrateUpTo } from '../support/old-database.ts';
import { adminUrlOf, ownerUrl, useDatabase } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useConnection, useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
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
} from '../support/store-fixtures.ts';

/** Reads a chain, computes it anew, and answers its length; fails where a stored hash or the head differs. */
async function checkedLength(database: Database, chain: string): Promise<number> {
  const rows = await database.run((db) =>
    db.selectFrom('audit_log').selectAll().where('chain', '=', chain).orderBy('seq').execute(),
  );
  let head: ChainHead = emptyChain(chain);
  for (const row of rows) {
    const link = appended(head, toAuditRecord(row));
    assert.deepEqual([Number(row.seq), row.leaf, row.hash], [link.seq, link.leaf, link.hash]);
    head = link;
  }
  const [stored] = await database.run((db) =>
    db.selectFrom('audit_chains').selectAll().where('chain', '=', chain).execute(),
  );
  assert.deepEqual([Number(stored?.seq), stored?.hash], [head.seq, head.hash]);
  return head.seq;
}

test('chains each tenant’s records, and those of no tenant that exists in the chain of the installation', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, aChannel());
  await store.tenants.create(
    { name: 'other', admins: [], createdAt: minute(0) },
    aRecord('tenant.create', { tenant: 'other' }),
  );
  await store.audit.append(aRecord('channel.list', { tenant: 'a-stranger’s-idea' }));
  await store.audit.append(
    aRecord('identity.verify', { tenant: undefined, channel: 'ch_\0\ud800', facts: { b: 1, a: [] } }),
  );
  assert.equal(await checkedLength(database, 'acme'), 3);
  assert.equal(await checkedLength(database, 'other'), 1);
  assert.equal(await checkedLength(database, ''), 2);
});

test('writes one chain without a gap or a fork when two brokers record at the same time', async (t) => {
  const { store, database, url } = await useStore(t);
  await fill(store);
  await store.tenants.create(
    { name: 'other', admins: [], createdAt: minute(0) },
    aRecord('tenant.create', { tenant: 'other' }),
  );
  const second = createDatabase({ url, applicationName: 'second broker' });
  atEnd(t, () => second.close());
  const writes = [database, second].flatMap((broker) =>
    Array.from({ length: 20 }, (_, turn) => {
      const tenants = turn % 2 === 0 ? ['other', undefined, 'acme'] : ['acme', 'other', undefined];
      const records = tenants.map((tenant) => aRecord('token.release', { tenant }));
      return broker.transaction((trx) => writeAuditRecords(trx, records));
    }),
  );
  await Promise.all(writes);
  assert.equal(await checkedLength(database, 'acme'), 42);
  assert.equal(await checkedLength(database, 'other'), 41);
  assert.equal(await checkedLength(database, ''), 40);
});

test('writes one chain without a gap or a fork when two brokers write groups and acts of their own on it', async (t) => {
  const { store, database, url } = await useStore(t);
  await fill(store, aChannel());
  const other = createStore({ database: useConnection(t, url) });
  const group = (broker: string, round: number) =>
    Array.from({ length: 20 }, (_, n) =>
      aRecord('token.release', { tenant: n % 3 ? 'acme' : undefined, facts: { broker, round, n } }),
    );
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(
      Object.entries({ store, other }).flatMap(([name, broker]) => [
        broker.audit.appendAll(group(name, round).map(broker.audit.prepare), { firstTime: true }),
        broker.audit.append(aRecord('channel.list', { facts: { name, round } })),
      ]),
    );
  }
  const installation = await checkedLength(database, '');
  assert.equal((await checkedLength(database, 'acme')) + installation, 3 + 10 * 2 * 21);
  assert.equal(installation, 10 * 2 * 7);
});

test('writes a group once that another broker has written, whoever wrote behind it', async (t) => {
  const { store, database, url } = await useStore(t);
  await fill(store, aChannel());
  const other = createStore({ database: useConnection(t, url) });
  const group = Array.from({ length: 20 }, (_, n) => store.audit.prepare(aRecord('token.release', { facts: { n } })));
  await store.audit.appendAll(group.slice(0, 10), { firstTime: true });
  await other.audit.append(aRecord('channel.list'));
  await store.audit.appendAll(group);
  await other.audit.appendAll(group);
  assert.equal(await checkedLength(database, 'acme'), 3 + 20 + 1);
});

test('writes thousands of records in one go', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  const records = Array.from({ length: 5_000 }, () => aRecord('token.release', { facts: { source: 'cache', n: 1 } }));
  await database.transaction((trx) => writeAuditRecords(trx, records));
  assert.equal(await checkedLength(database, 'acme'), 5_002);
});

test('a change whose commit was done and whose answer was lost is not made twice', async (t) => {
  const { store, url, database } = await useStore(t);
  await fill(store, anActiveChannel(), aChannel({ id: 'ch_2', name: 'two' }));
  const claim = await store.channels.claim('ch_1', lease(30, 32));
  assert.ok(claim);
  const failing = { className: 'unavailable', retryAt: minute(40) };
  const state = { id: 'ch_2', from: 'pending_consent', to: 'revoked', reason: 'revoked_by_admin' } as const;
  const failed = aRecord('token.refresh', { channel: 'ch_1' });
  const changed = aRecord('channel.state', { channel: 'ch_2' });
  const added = aRecord('channel.add', { channel: 'ch_3' });
  const access = {
    spiffeId: 'spiffe://example.org/workload/uploader',
    channel: 'ch_3',
    tenant: 'acme',
    reason: 'uploads',
    createdBy: 'alice',
    createdAt: minute(0),
  };
  const of3 = (action: Parameters<typeof aRecord>[0]) => aRecord(action, { channel: 'ch_3' });
  const allowed = of3('workload.allow');
  const [invited, begun, received] = [of3('consent.invite'), of3('consent.begin'), of3('consent.receive')];
  const [denied, rejected, released] = [of3('consent.complete'), of3('consent.complete'), of3('token.release')];
  const acts = [
    (on: typeof store) => on.channels.refreshFailed(claim, failing, failed),
    (on: typeof store) => on.channels.changeState({ ...state, generation: undefined, at: minute(31) }, changed),
    (on: typeof store) => on.channels.create(aChannel({ id: 'ch_3', name: 'three' }), added),
    (on: typeof store) => on.workloadAccess.allow(access, allowed),
    (on: typeof store) => on.consents.create(aConsent({ channel: 'ch_3' }), invited),
    (on: typeof store) => on.consents.begin('co_1', aRequest(), begun),
    (on: typeof store) => on.consents.fail('co_1', 'denied', minute(2), denied),
    (on: typeof store) => on.consents.receive(aReceivedGrant(), received),
    (on: typeof store) => on.consents.reject(aReceivedGrant(), 'other_account', minute(3), rejected),
    (on: typeof store) => on.audit.append(released),
  ];
  const cutter = await useCommitCutter(t, url);
  const unlucky = createStore({ database: useConnection(t, cutter.url) });
  for (const act of acts) {
    cutter.arm();
    await assert.rejects(act(unlucky), { code: /^(STORE|AUDIT)_UNAVAILABLE$/ });
    await act(unlucky);
    await act(store);
  }
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
  assert.deepEqual(await actsOn(store, 'ch_2'), ['channel.add', 'channel.state']);
  assert.deepEqual(await actsOn(store, 'ch_3'), [
    'channel.add',
    'workload.allow',
    'consent.invite',
    'consent.begin',
    'consent.complete',
    'consent.receive',
    'consent.complete',
    'token.release',
  ]);
  assert.equal((await store.channels.find('ch_1'))?.grant?.refreshFailures, 1);
  await checkedLength(database, 'acme');
});

test('a refresh, a consent that ends well and an OAuth client are not made twice either', async (t) => {
  const { store, url, database } = await useStore(t);
  await fill(store, anActiveChannel(), aChannel({ id: 'ch_2', name: 'two' }), aChannel({ id: 'ch_3', name: 'three' }));
  const of = (action: Parameters<typeof aRecord>[0], channel: string) => aRecord(action, { channel });
  const claim = await store.channels.claim('ch_1', lease(30, 32));
  assert.ok(claim);
  for (const [id, channel, link] of [
    ['co_1', 'ch_2', 'link-1'],
    ['co_2', 'ch_3', 'link-2'],
  ] as const) {
    const consent = aConsent({ id, channel, linkHash: link });
    await store.consents.create(consent, of('consent.invite', channel));
  }
  await store.consents.begin('co_1', aRequest(), of('consent.begin', 'ch_2'));
  await store.consents.receive(aReceivedGrant(), of('consent.receive', 'ch_2'));

  const rotated = { refreshTokenEncrypted: 'vault:v1:rotated', refreshTokenHash: 'hash-rotated' };
  const refreshed = of('token.refresh', 'ch_1');
  const [activated, completed] = [of('consent.complete', 'ch_2'), of('consent.complete', 'ch_3')];
  const client = {
    name: 'second',
    clientId: 'id-2.apps.example',
    dpop: false,
    publishing: 'testing',
    createdAt: minute(0),
  } as const;
  const added = aRecord('oauth-client.add', { facts: { oauthClient: 'second' } });
  const acts = [
    (on: typeof store) => on.channels.refreshed(claim, aRefresh({ rotated }), refreshed),
    (on: typeof store) => on.consents.activate(aReceivedGrant(), anIdentity, minute(2), aFirstToken(), activated),
    (on: typeof store) => on.consents.completeWithoutToken('co_2', minute(3), completed),
    (on: typeof store) => on.oauthClients.create(client, added),
  ];
  const cutter = await useCommitCutter(t, url);
  const unlucky = createStore({ database: useConnection(t, cutter.url) });
  const before = await checkedLength(database, 'acme');
  for (const act of acts) {
    cutter.arm();
    await assert.rejects(act(unlucky), { code: 'STORE_UNAVAILABLE' });
    await act(unlucky);
  }
  assert.equal(await checkedLength(database, 'acme'), before + acts.length);
  const [one, two] = [await store.channels.find('ch_1'), await store.channels.find('ch_2')];
  assert.equal(one?.grant?.refreshTokenEncrypted, rotated.refreshTokenEncrypted);
  assert.deepEqual([two?.state, two?.grant?.generation], ['active', 1]);
  assert.equal((await store.oauthClients.find('second'))?.clientId, client.clientId);

  // Another act of the same kind is none of these: it is refused, and nothing goes on record.
  const other = of('consent.complete', 'ch_3');
  await assert.rejects(store.consents.completeWithoutToken('co_2', minute(3), other), { code: 'STORE_CONFLICT' });
  await assert.rejects(store.oauthClients.create(client, aRecord('oauth-client.add')), { code: 'ALREADY_EXISTS' });
  assert.equal(await checkedLength(database, 'acme'), before + acts.length);
});

test('a tenant, and the retry of a state that was changed, are not made twice', async (t) => {
  const { store, database, url } = await useStore(t);
  const cutter = await useCommitCutter(t, url);
  const unlucky = createStore({ database: useConnection(t, cutter.url) });
  const tenant = { name: 'acme', admins: [], createdAt: minute(0) };
  const created = aRecord('tenant.create');
  cutter.arm();
  await assert.rejects(unlucky.tenants.create(tenant, created), { code: 'STORE_UNAVAILABLE' });
  await unlucky.tenants.create(tenant, created);
  await assert.rejects(store.tenants.create(tenant, aRecord('tenant.create')), { code: 'ALREADY_EXISTS' });
  assert.equal(await checkedLength(database, 'acme'), 1);
});

test('chains what an older broker recorded, each tenant’s in the order of writing', async (t) => {
  const url = await useDatabase(t);
  const name = new URL(url).pathname.slice(1);
  await giveToOwner(adminUrlOf(url), name);
  const owner = useConnection(t, ownerUrl(url));
  await migrateUpTo(owner, '0005-audit-log');
  await owner.run((db) =>
    sql`insert into tenants values ('acme', '{}', now()), ('other', '{}', now());
      insert into audit_log (at, action, result, caller_kind, caller, request_id, tenant, facts)
        select '2026-03-01T12:00:00.123Z'::timestamptz + n * interval '1 ms', 'token.release', 'ok', 'person', 'alice', 'req',
          case n % 3 when 0 then 'acme' when 1 then 'other' else 'gone' end, jsonb_build_object('z', n, 'a', 'é')
        from generate_series(1, 6000) n`.execute(db),
  );
  await migrate({ url: ownerUrl(url), applicationName: 'test', runtimeRole: databaseRoles.runtime });
  for (const chain of ['acme', 'other', '']) assert.equal(await checkedLength(owner, chain), 2_000);
  const store = createStore({ database: useConnection(t, urlAs('runtime', adminUrlOf(url), name)) });
  await store.audit.append(aRecord('token.release'));
  assert.equal(await checkedLength(owner, 'acme'), 2_001);
});

test('only lets chains grow', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  for (const statement of [
    "update audit_chains set seq = 1 where chain = 'acme'",
    'delete from audit_chains',
    'truncate audit_chains',
  ]) {
    await assert.rejects(
      database.run((db) => sql.raw(statement).execute(db)),
      /sqlstate 42501/,
      statement,
    );
  }
});
