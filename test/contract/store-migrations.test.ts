import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { sql } from 'kysely';
import { createDatabase } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { giveToOwner, urlAs } from '../../stack/postgres-roles.ts';
import { runCommand } from '../support/cli-process.ts';
import { adminUrlOf, ownerUrl, useDatabase } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useConnection, useMigratedDatabase } from '../support/store.ts';

test('migrates an empty database once when several brokers start at the same time', async (t) => {
  const url = await useDatabase(t);
  const start = () => migrate({ url, applicationName: 'test' });
  const applied = await Promise.all([start(), start(), start()]);
  const files = await readdir(new URL('../../broker/store/migrations', import.meta.url));
  const [none, nothing, all] = applied.toSorted((a, b) => a.length - b.length);
  assert.deepEqual([none, nothing], [[], []]);
  assert.deepEqual(all, files.map((file) => file.replace('.ts', '')).sort());
  assert.deepEqual(await start(), []);
});

test('two processes of `broker migrate` at once: one migrates, both end well, the broker has its rights', async (t) => {
  const url = await useDatabase(t);
  const database = new URL(url).pathname.slice(1);
  await giveToOwner(adminUrlOf(url), database);
  const runtime = urlAs('runtime', adminUrlOf(url), database);
  const env = { PATH: process.env.PATH, DATABASE_URL: runtime, BROKER_MIGRATION_DATABASE_URL: ownerUrl(url) };
  const ended = await Promise.all([runCommand(env, 'migrate'), runCommand(env, 'migrate')]);
  assert.deepEqual(
    ended.map(({ exitCode }) => exitCode),
    [0, 0],
    JSON.stringify(ended),
  );
  const done = ended.map(({ stderr }) => stderr.match(/^done {2}/gm)?.length ?? 0);
  const files = await readdir(new URL('../../broker/store/migrations', import.meta.url));
  assert.deepEqual(done.toSorted(), [0, files.length]);
  for (const { stderr } of ended) assert.match(stderr, /The role broker has the rights/);
  const { exitCode, stderr } = await runCommand({ ...env, BROKER_MIGRATION_DATABASE_URL: undefined }, 'migrate');
  assert.equal(exitCode, 1);
  assert.match(stderr, /the role "broker" may not change the tables of this database: run `broker migrate`/);
});

test('refuses a database of a newer broker with a sentence for the operator', async (t) => {
  const url = await useMigratedDatabase(t);
  const owner = useConnection(t, ownerUrl(url));
  await owner.run((db) => sql`insert into schema_migrations values ('0099-later', '2030-01-01T00:00:00Z')`.execute(db));
  await assert.rejects(migrate({ url: ownerUrl(url), applicationName: 'test' }), {
    code: 'CONFIG_INVALID',
    problems: ['the database belongs to a newer broker (it has "0099-later"): start that version or a later one'],
  });
});

test('leaves an empty database empty when a migration fails', async (t) => {
  const url = await useDatabase(t);
  const database = createDatabase({ url, applicationName: 'test' });
  atEnd(t, () => database.close());
  await database.run((db) => sql`create table audit_log (mine text)`.execute(db));
  await assert.rejects(migrate({ url, applicationName: 'test' }), /sqlstate 42P07/);
  const { rows } = await database.run((db) => sql`select from pg_tables where tablename = 'tenants'`.execute(db));
  assert.deepEqual(rows, []);
});

test('says STORE_UNAVAILABLE where there is no database to migrate', async (t) => {
  const url = new URL(await useDatabase(t));
  url.pathname = '/not_there';
  await assert.rejects(migrate({ url: url.href, applicationName: 'test' }), { code: 'STORE_UNAVAILABLE' });
});

test('explains every table to whoever looks into the database', async (t) => {
  const url = await useMigratedDatabase(t);
  const database = createDatabase({ url, applicationName: 'test' });
  atEnd(t, () => database.close());
  const undescribed = await database.run((db) =>
    sql<{ name: string }>`
      select relname as name from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r' and obj_description(oid) is null
        and relname not like 'schema_migrations%'`.execute(db),
  );
  assert.deepEqual(undescribed.rows, []);
});
