/** What brokers hear of at once: on real PostgreSQL, whoever makes the change, and through outages. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type RawBuilder, sql } from 'kysely';
import type { ChannelChange, Store } from '../../broker/ports.ts';
import { createDatabase, type Database } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { useMuteProxy } from '../support/mute-proxy.ts';
import { until } from '../support/poll.ts';
import { superuserUrl, useOwnPostgres } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useConnection, useStore } from '../support/store.ts';
import { anActiveChannel, aRecord, fill, lease, minute, start } from '../support/store-fixtures.ts';

const workload = 'spiffe://example.org/workload/uploader';
const access = {
  spiffeId: workload,
  channel: 'ch_1',
  tenant: 'acme',
  reason: 'uploads',
  createdBy: 'alice',
  createdAt: start,
};

/** Follows the changes and writes down what it is told. */
async function useFollower(t: TestContext, { changes }: Pick<Store, 'changes'>) {
  const heard: ChannelChange[] = [];
  const told = { batches: 0, denials: 0, hears: 0, deaf: [] as Error[], lookAgain: 0 };
  const following = changes.follow(
    {
      changed: (batch) => {
        heard.push(...batch);
        told.batches += 1;
      },
      denialsChanged: () => {
        told.denials += 1;
      },
      lookAgain: () => {
        told.lookAgain += 1;
      },
      hears: () => {
        told.hears += 1;
      },
      deaf: (error) => void told.deaf.push(error),
    },
    Math.random,
  );
  atEnd(t, () => following.stop());
  await until('it hears', () => told.hears === 1);
  return { heard, told };
}

const run = (database: Database, statement: RawBuilder<unknown>) => database.run((db) => statement.execute(db));

test('a change of state by the store is heard, with what it was before', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const { heard } = await useFollower(t, store);
  const change = { from: 'active', to: 'needs_reconsent', reason: 'grant_revoked_or_expired' } as const;
  await store.channels.changeState({ id: 'ch_1', ...change, generation: 1, at: minute(1) }, aRecord('channel.state'));
  await until('it is heard', () => heard.length > 0);
  assert.deepEqual(heard, [
    {
      channel: 'ch_1',
      tenant: 'acme',
      former: { state: 'active', generation: 1 },
      present: { state: 'needs_reconsent', generation: 1 },
    },
  ]);
});

test('however many changes are heard, nothing is kept of the waits for them', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  let waits = () => 0;
  const counting: Database = {
    ...database,
    dedicated() {
      const connection = database.dedicated();
      const { mock } = t.mock.method(connection.broken, 'then');
      waits = () => mock.callCount();
      return connection;
    },
  };
  const { told } = await useFollower(t, createStore({ database: counting }));
  for (let generation = 2; generation <= 6; generation += 1) {
    const batches = told.batches;
    await run(database, sql`update channels set generation = ${generation}`);
    await until('it is heard', () => told.batches > batches);
  }
  assert.equal(waits(), 1, 'a connection lives for weeks');
});

test('changes made by hand are heard: state, generation, accesses, rows deleted and tables emptied', async (t) => {
  const { store, url } = await useStore(t);
  const byHand = useConnection(t, superuserUrl(url));
  await fill(store, anActiveChannel());
  const { heard, told } = await useFollower(t, store);
  const next = async (what: string, statement: RawBuilder<unknown>) => {
    heard.length = 0;
    await run(byHand, statement);
    await until(what, () => heard.length > 0);
    return heard.map(({ channel, former, present }) => [channel, former?.generation, present?.state]);
  };
  assert.deepEqual(await next('a suspension', sql`update channels set state = 'suspended'`), [
    ['ch_1', 1, 'suspended'],
  ]);
  assert.deepEqual(await next('a generation', sql`update channels set state = 'active', generation = 2`), [
    ['ch_1', 1, 'active'],
  ]);
  await store.workloadAccess.allow(access, aRecord('workload.allow'));
  await until('an access', () => heard.length === 2);
  assert.deepEqual(await next('a withdrawal', sql`delete from workload_access`), [['ch_1', undefined, undefined]]);
  assert.deepEqual(await next('a deletion', sql`delete from channels`), [['ch_1', 2, undefined]]);

  const before = told.lookAgain;
  await run(byHand, sql`truncate workload_access`);
  await until('a table is emptied', () => told.lookAgain === before + 1);
});

test('a refresh and a claim say nothing, for sidecars have nothing to do about them', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.channels.claim('ch_1', lease(30, 31));
  await run(database, sql`update channels set refresh_token_encrypted = 'vault:v2:rewrapped', token_expiry = now()`);
  const { rows } = await database.run((db) => sql`select from outbox`.execute(db));
  assert.deepEqual(rows, []);
});

test('a change that is rolled back is not heard; hundreds at once are heard together', async (t) => {
  const { store, database } = await useStore(t);
  const channels = Array.from({ length: 300 }, (_, n) => anActiveChannel({ id: `ch_${n}`, name: `channel ${n}` }));
  await fill(store, ...channels);
  const { heard, told } = await useFollower(t, store);
  await assert.rejects(
    database.transaction(async (trx) => {
      await sql`update channels set state = 'suspended'`.execute(trx);
      throw new Error('changed its mind');
    }),
  );
  await run(database, sql`update channels set state = 'revoked', reason = 'revoked_by_admin'`);
  await until('all are heard', () => heard.length >= 300);
  assert.equal(told.batches, 1);
  assert.deepEqual(new Set(heard.map(({ present }) => present?.state)), new Set(['revoked']));
  assert.equal(new Set(heard.map(({ channel }) => channel)).size, 300);
});

test('a change that becomes visible late, with an earlier id than one heard before, is heard once', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  const { heard } = await useFollower(t, store);
  await database.transaction(async (slow) => {
    await sql`update channels set state = 'suspended' where id = 'ch_1'`.execute(slow);
    await run(database, sql`update channels set state = 'suspended' where id = 'ch_2'`);
    await until('the faster is heard', () => heard.length === 1);
  });
  await until('the slower is heard', () => heard.length === 2);
  assert.deepEqual(
    heard.map(({ channel }) => channel),
    ['ch_2', 'ch_1'],
  );
});

test('a connection that is ended is made again, and what was missed meanwhile is heard', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const { heard, told } = await useFollower(t, store);
  await run(
    database,
    sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query like '%outbox%' and pid <> pg_backend_pid()`,
  );
  await until('it is deaf', () => told.deaf.length > 0);
  await run(database, sql`update channels set state = 'suspended'`);
  await until('it hears again', () => told.hears === 2);
  assert.deepEqual(
    heard.map(({ present }) => present?.state),
    ['suspended'],
  );
  assert.equal(told.lookAgain, 2);
  assert.equal((told.deaf[0] as { code?: string }).code, 'STORE_UNAVAILABLE');
});

test('a server that stops and starts again is listened to again', async (t) => {
  const postgres = await useOwnPostgres(t);
  const url = postgres.url('postgres');
  await migrate({ url, applicationName: 'test' });
  const database = createDatabase({ url, applicationName: 'test' });
  atEnd(t, () => database.close());
  const store = createStore({ database });
  await fill(store, anActiveChannel());
  const { heard, told } = await useFollower(t, store);
  await postgres.halt();
  await until('it is deaf', () => told.deaf.length > 0);
  await postgres.start();
  await until('it hears again', () => told.hears === 2);
  await run(database, sql`update channels set state = 'suspended'`);
  await until('the change is heard', () => heard.length === 1);
});

test('a connection that is dead without a word is found out', async (t) => {
  const { store: straight, url, database } = await useStore(t);
  await fill(straight, anActiveChannel());
  const mute = await useMuteProxy(t, url);
  const behind = createDatabase({ url: mute.url, applicationName: 'test', statementTimeoutMs: 1_000 });
  atEnd(t, () => behind.close());
  const { heard, told } = await useFollower(t, createStore({ database: behind }));
  mute.silence();
  await run(database, sql`update channels set state = 'suspended'`);
  await until('the change is heard all the same', () => heard.length === 1);
  assert.equal(told.deaf.length, 1);
});

test('old entries are deleted, a bounded number at once', async (t) => {
  const { store, database, url } = await useStore(t);
  await fill(store, anActiveChannel());
  for (const state of ['suspended', 'active', 'suspended'])
    await run(database, sql`update channels set state = ${state}`);
  const byHand = useConnection(t, superuserUrl(url));
  await run(byHand, sql`update outbox set at = at - interval '25 hours' where id < (select max(id) from outbox)`);
  assert.equal(await store.changes.prune(24 * 3_600_000, 1), 1);
  assert.equal(await store.changes.prune(24 * 3_600_000, 10), 1);
  assert.equal(await store.changes.prune(24 * 3_600_000, 10), 0);
});

test('gives the standing of many channels, and who of many may read them', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }, { generation: 4 }));
  await store.workloadAccess.allow(access, aRecord('workload.allow'));
  const standings = await store.channels.standings(['ch_2', 'ch_none']);
  assert.deepEqual(standings, [
    {
      id: 'ch_2',
      tenant: 'acme',
      state: 'active',
      generation: 4,
      grantedScopes: ['youtube.upload'],
    },
  ]);
  const accesses = await store.workloadAccess.listFor([workload, 'spiffe://example.org/other'], ['ch_1', 'ch_2']);
  assert.deepEqual(accesses, [{ spiffeId: workload, channel: 'ch_1' }]);
});
