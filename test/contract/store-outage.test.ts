import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { createDatabase } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { useMuteProxy } from '../support/mute-proxy.ts';
import { useDatabase, useOwnPostgres } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { aChannel, aRecord, fill } from '../support/store-fixtures.ts';

const unavailable = { code: 'STORE_UNAVAILABLE' };

test('says STORE_UNAVAILABLE while PostgreSQL is gone, and works again without a restart', async (t) => {
  const postgres = await useOwnPostgres(t);
  const url = postgres.url('postgres');
  await migrate({ url, applicationName: 'test' });
  const database = createDatabase({ url, applicationName: 'test' });
  atEnd(t, () => database.close());
  const store = createStore({ database });
  await fill(store, aChannel());

  await postgres.halt();
  await assert.rejects(store.check(), unavailable);
  await assert.rejects(store.channels.find('ch_1'), unavailable);
  await assert.rejects(
    store.channels.create(aChannel({ id: 'ch_2', name: 'two' }), aRecord('channel.add')),
    unavailable,
  );
  await assert.rejects(store.audit.append(aRecord('token.release')), { code: 'AUDIT_UNAVAILABLE' });

  await postgres.start();
  await store.check();
  assert.deepEqual(await store.channels.find('ch_1'), aChannel());
});

test('undoes a transaction that the server ends half-way', async (t) => {
  const { store, database } = await useStore(t);
  const work = database.transaction(async (trx) => {
    await trx
      .insertInto('tenants')
      .values({ name: 'half', admins: [], created_at: new Date(0) })
      .execute();
    await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx);
  });
  await assert.rejects(work, unavailable);
  assert.equal(await store.tenants.find('half'), undefined);
});

test('ends a statement that takes too long', async (t) => {
  const url = await useDatabase(t);
  const database = createDatabase({ url, applicationName: 'test', statementTimeoutMs: 1_000 });
  atEnd(t, () => database.close());
  await assert.rejects(
    database.run((db) => sql`select pg_sleep(60)`.execute(db)),
    unavailable,
  );
  await database.check();
});

test('does not wait for ever when all connections are in use', async (t) => {
  const url = await useDatabase(t);
  const database = createDatabase({ url, applicationName: 'test', poolSize: 1, connectTimeoutMs: 2_000 });
  atEnd(t, () => database.close());
  await database.transaction(async () => assert.rejects(database.check(), unavailable));
  await database.check();
});

test('says who is connected', async (t) => {
  const url = await useDatabase(t);
  const database = createDatabase({ url, applicationName: 'token-broker eu-1' });
  atEnd(t, () => database.close());
  const { rows } = await database.run((db) => sql`select current_setting('application_name') as name`.execute(db));
  assert.deepEqual(rows, [{ name: 'token-broker eu-1' }]);
});

test('has a statement that comes often planned once for each connection, and keeps no other', async (t) => {
  const database = createDatabase({ url: await useDatabase(t), applicationName: 'test', poolSize: 1 });
  atEnd(t, () => database.close());
  for (const value of [1, 2, 3]) {
    const { rows } = await database.prepared(sql<{ twice: number }>`select ${value}::integer * 2 as twice`);
    assert.deepEqual(rows, [{ twice: value * 2 }]);
    await database.run((db) => sql`select ${value}::integer * 3`.execute(db));
  }
  const { rows } = await database.run((db) =>
    sql`select statement, (generic_plans + custom_plans)::integer as runs from pg_prepared_statements`.execute(db),
  );
  assert.deepEqual(rows, [{ statement: 'select $1::integer * 2 as twice', runs: 3 }]);
});

test('gives up a server that accepts and never answers, and uses no such connection again', async (t) => {
  const mute = await useMuteProxy(t, await useDatabase(t));
  const database = createDatabase({ url: mute.url, applicationName: 'test', poolSize: 1, statementTimeoutMs: 1_000 });
  atEnd(t, () => database.close());
  await database.check();
  mute.silence();
  await assert.rejects(database.check(), unavailable);
  await database.check();
});
