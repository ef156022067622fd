/** A database of every earlier version, with an installation's rows in it, is brought to this one without a loss. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { Database } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { databaseRoles, giveToOwner, urlAs } from '../../stack/postgres-roles.ts';
import { fillAsThen, migrateUpTo, migrationNames } from '../support/old-database.ts';
import { adminUrlOf, ownerUrl, superuserUrl, useDatabase } from '../support/postgres.ts';
import type { Scope } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { aRecord, lease, minute } from '../support/store-fixtures.ts';

const violated = /sqlstate 23514/;

/** A database at an earlier version, with rows, and as whom to look at it. */
async function useOldDatabase(scope: Scope, name: string) {
  const url = await useDatabase(scope);
  const database = new URL(url).pathname.slice(1);
  await giveToOwner(adminUrlOf(url), database);
  const owner = useConnection(scope, ownerUrl(url));
  await migrateUpTo(owner, name);
  await fillAsThen(owner, await tablesOf(owner));
  return {
    owner,
    superuser: useConnection(scope, superuserUrl(url)),
    url: urlAs('runtime', adminUrlOf(url), database),
  };
}

for (const [index, name] of migrationNames.entries()) {
  test(`a database of version ${name} comes to this one with everything in it`, async (t) => {
    const { superuser, url } = await useOldDatabase(t, name);
    const before = await allRows(superuser);
    const options = { url: ownerUrl(url), applicationName: 'test', runtimeRole: databaseRoles.runtime };
    assert.deepEqual(await migrate(options), migrationNames.slice(index + 1));
    assert.deepEqual(await migrate(options), []);

    const after = await allRows(superuser);
    for (const [table, rows] of Object.entries(before)) {
      const kept = rows.map((row, place) => pick(after[table]?.[place] ?? {}, Object.keys(row)));
      assert.deepEqual(kept, rows, table);
    }

    const database = useConnection(t, url);
    const store = createStore({ database });
    if (!('channels' in before)) return;
    const channels = await store.channels.list({ tenant: 'acme' });
    assert.equal(channels.length, 6);
    assert.deepEqual(
      channels.map(({ grant }) => grant?.generation ?? 0),
      [3, 3, 3, 0, 3, 3],
    );
    for (const { id, grant } of channels) {
      if (grant) assert.match(grant.refreshTokenEncrypted, /^vault:v2:/, id);
    }
    const steps = sql`update channels set state = 'active' where state = 'revoked'`;
    await assert.rejects(
      database.run((db) => steps.execute(db)),
      violated,
    );
    const fence = sql`update channels set claim_fence = 0 where state = 'active'`;
    await assert.rejects(
      database.run((db) => fence.execute(db)),
      violated,
    );
    const claim = await store.channels.claim('ch_acme_active', lease(60, 61));
    assert.equal(claim?.fence, 8);

    if (!('consents' in before)) return;
    const [unfinished] = await store.consents.unfinished(minute(1), 10);
    assert.equal(unfinished?.received.refreshTokenEncrypted, 'vault:v2:received');
    assert.equal(
      (await store.consents.findByState('state-pending'))?.request?.codeVerifierEncrypted,
      'vault:v1:verifier',
    );
    if (!('workload_access' in before)) return;
    assert.ok(await store.workloadAccess.find('spiffe://example.org/workload/uploads', 'ch_acme_active'));
    if (!('audit_log' in before)) return;
    await store.audit.append(aRecord('channel.list'));
    const { rows: chains } = await superuser.run((db) =>
      sql`select chain, array_agg(seq order by id) as seqs, count(*)::int as records from audit_log group by chain
        order by chain`.execute(db),
    );
    assert.deepEqual(chains, [
      { chain: 'acme', seqs: ['1', '2', '3'], records: 3 },
      { chain: 'globex', seqs: ['1'], records: 1 },
    ]);
  });
}

test('a migration that fails in the middle leaves everything as it was', async (t) => {
  const first = migrationNames[4] ?? '';
  const { owner, superuser, url } = await useOldDatabase(t, first);
  // In the way of a later migration.
  await owner.run((db) => sql`create table outbox (mine text)`.execute(db));
  const look = async () => [await allRows(superuser), await shapeOf(superuser)];
  const before = await look();
  const options = { url: ownerUrl(url), applicationName: 'test', runtimeRole: databaseRoles.runtime };
  await assert.rejects(migrate(options), /sqlstate 42P07/);
  assert.deepEqual(await look(), before);
  await owner.run((db) => sql`drop table outbox`.execute(db));
  assert.deepEqual(await migrate(options), migrationNames.slice(5));
});

async function tablesOf(database: Database): Promise<readonly string[]> {
  const { rows } = await database.run((db) =>
    sql<{ name: string }>`
      select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
        and relname not like 'schema_migrations%'`.execute(db),
  );
  return rows.map(({ name }) => name);
}

/** Every row of every table, in an order that no migration changes. */
async function allRows(database: Database): Promise<Record<string, Record<string, unknown>[]>> {
  const all: Record<string, Record<string, unknown>[]> = {};
  for (const table of await tablesOf(database)) {
    const { rows } = await database.run((db) =>
      sql<{ row: Record<string, unknown> }>`
        select to_jsonb(t) as row from ${sql.table(table)} t
          order by to_jsonb(t) ->> 'id', to_jsonb(t) ->> 'name', to_jsonb(t) ->> 'chain'`.execute(db),
    );
    all[table] = rows.map(({ row }) => row);
  }
  return all;
}

/** Columns, constraints, indexes and triggers. */
async function shapeOf(database: Database): Promise<unknown> {
  const { rows } = await database.run((db) =>
    sql`
      select 'column' as what, table_name::text as place, column_name::text || ' ' || data_type as name
        from information_schema.columns where table_schema = 'public'
      union all select 'constraint', conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace
      union all select 'index', tablename, indexdef from pg_indexes where schemaname = 'public'
      union all select 'trigger', tgrelid::regclass::text, tgname || ' ' || tgenabled::text from pg_trigger where not tgisinternal
      order by 1, 2, 3`.execute(db),
  );
  return rows;
}

function pick(row: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, row[name]]));
}
