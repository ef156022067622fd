/** The role that the broker runs as: what it may do in PostgreSQL, and what the broker says where it is another. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { test } from 'node:test';
import { sql } from 'kysely';
import { Secret } from '../../broker/domain/secret.ts';
import { addDelivery, jobSchema } from '../../broker/store/delivery-jobs.ts';
import { jobRevision } from '../../broker/store/job-schema.ts';
import { migrateStore, openStore } from '../../broker/store/open-store.ts';
import { jobPrivileges, runtimePrivileges } from '../../broker/store/privileges.ts';
import { databaseRoles, giveToOwner, urlAs } from '../../stack/postgres-roles.ts';
import { readDocument, sectionOf } from '../support/documents.ts';
import { adminUrlOf, ownerUrl, superuserUrl, useDatabase, useOwnPostgres } from '../support/postgres.ts';
import { type Scope, useFolder } from '../support/scope.ts';
import { useConnection, useMigratedDatabase, useStore } from '../support/store.ts';
import { anActiveChannel, aRecord, fill } from '../support/store-fixtures.ts';

/** What a store is opened with, and what it has said. */
function settingsFor(databaseUrl: string | undefined, dataDirectory = '/nowhere') {
  const warnings: string[] = [];
  const log = { info: () => {}, debug: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
  return { databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl), dataDirectory, log, warnings };
}

/** An empty database with both roles, as a DBA hands it over; its URL as the role that the broker runs as. */
async function useEmptyDatabase(scope: Scope): Promise<string> {
  const url = await useDatabase(scope);
  await giveToOwner(adminUrlOf(url), new URL(url).pathname.slice(1));
  return urlAs('runtime', adminUrlOf(url), new URL(url).pathname.slice(1));
}

test('the role has on every table the rights that are listed, and none on any other', async (t) => {
  const url = await useMigratedDatabase(t);
  const { rows } = await useConnection(t, superuserUrl(url)).run((db) =>
    sql<{ table: string; rights: string[] }>`
      select relname as table, array(
          select lower(privilege_type) from aclexplode(relacl) where grantee = ${databaseRoles.runtime}::regrole
          order by 1) as rights
        from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S', 'f', 'p')`.execute(
      db,
    ),
  );
  const held = rows.filter(({ rights }) => rights.length > 0).map(({ table, rights }) => [table, rights]);
  const listed = Object.entries(runtimePrivileges).map(([table, rights]) => [table, rights.toSorted()]);
  assert.deepEqual(Object.fromEntries(held), Object.fromEntries(listed));
  const unknown = rows.map(({ table }) => table).filter((table) => !(table in runtimePrivileges));
  assert.deepEqual(
    unknown.filter((table) => !/^(schema_migrations_lock|\w+_seq)$/.test(table)),
    [],
    'tables without an entry in broker/store/privileges.ts',
  );
});

test('the same holds for the tables of the jobs, whose rows it sees, and for their newest version', async (t) => {
  const { database, url } = await useStore(t);
  const { rows } = await useConnection(t, superuserUrl(url)).run((db) =>
    sql<{ table: string; rights: string[] }>`
      select relname as table, array(
          select lower(privilege_type) from aclexplode(relacl) where grantee = ${databaseRoles.runtime}::regrole
          order by 1) as rights
        from pg_class where relnamespace = ${jobSchema}::regnamespace and relkind in ('r', 'v', 'm', 'S', 'f', 'p')`.execute(
      db,
    ),
  );
  const held = rows.filter(({ rights }) => rights.length > 0).map(({ table, rights }) => [table, rights]);
  const listed = Object.entries(jobPrivileges)
    .filter(([, rights]) => rights.length > 0)
    .map(([table, rights]) => [table, rights.toSorted()]);
  assert.deepEqual(Object.fromEntries(held), Object.fromEntries(listed));
  await database.run((db) => addDelivery(db, 'nt_1', 0));
  const jobs = await database.run((db) => sql`select key from graphile_worker._private_jobs`.execute(db));
  assert.deepEqual(jobs.rows, [{ key: 'nt_1' }]);
  const installed = readdirSync(new URL('../../node_modules/graphile-worker/sql', import.meta.url));
  assert.equal(jobRevision, installed.filter((file) => /^\d{6}\.sql$/.test(file)).length);
});

for (const statement of [
  "update audit_log set caller = 'mallory'",
  'delete from audit_log',
  'truncate audit_log',
  'drop table audit_log',
  'alter table audit_log disable trigger all',
  'drop trigger audit_log_is_append_only on audit_log',
  'create or replace function refuse_audit_change() returns trigger language plpgsql as $$ begin return null; end $$',
  'set session_replication_role = replica',
  'delete from channels',
  'delete from tenants',
  "update outbox set kind = 'mine'",
  'delete from oauth_clients',
  'delete from audit_checkpoints',
  "insert into schema_migrations values ('0099-later', '')",
  "update graphile_worker._private_tasks set identifier = 'mine'",
  'drop table graphile_worker._private_jobs',
  'select from graphile_worker._private_known_crontabs',
  'create table graphile_worker.mine (one int)',
  'create table mine (one int)',
  'create temporary table mine (one int)',
  'create index mine on channels (name)',
  'alter table channels drop constraint channels_active_has_grant',
  `set role ${databaseRoles.owner}`,
  `alter role ${databaseRoles.runtime} superuser`,
]) {
  test(`the role of the running broker is refused: ${statement.slice(0, 60)}`, async (t) => {
    const { store, database } = await useStore(t);
    await fill(store, anActiveChannel());
    await assert.rejects(
      database.run((db) => sql.raw(statement).execute(db)),
      /sqlstate 42501/,
    );
    assert.equal((await store.audit.list({ limit: 10 })).length, 3);
  });
}

test('a broker starts on a database that its owner has migrated, without a word', async (t) => {
  const settings = settingsFor(await useMigratedDatabase(t));
  const store = await openStore(settings);
  await store.check();
  await store.close();
  assert.deepEqual(settings.warnings, []);
});

test('a broker refuses a database that its role may not migrate, and names the command', async (t) => {
  const url = await useEmptyDatabase(t);
  await assert.rejects(openStore(settingsFor(url)), {
    code: 'CONFIG_INVALID',
    problems: [
      'the database is not at the version of this broker (it lacks "0001-tenants"), and the role "broker" may not change it: run `broker migrate`, with the owner of the tables in BROKER_MIGRATION_DATABASE_URL',
    ],
  });
  const settings = { ...settingsFor(url), migrationDatabaseUrl: new Secret(ownerUrl(url)) };
  const { migrations, grantedTo } = await migrateStore(settings);
  assert.equal(migrations[0], '0001-tenants');
  assert.equal(grantedTo, 'broker');
  assert.deepEqual(await migrateStore(settings), { migrations: [], grantedTo: 'broker' });
  await (await openStore(settings)).close();
});

test('the statements of docs/operating.md make both roles as they should be', async (t) => {
  const server = await useOwnPostgres(t);
  const admin = useConnection(t, server.url('postgres'));
  const [, statements = ''] =
    /```sql\n([^`]*)```/.exec(sectionOf(readDocument('docs/operating.md'), 'Database roles')) ?? [];
  for (const statement of statements.split(';\n').filter((text) => text.trim() !== '')) {
    await admin.run((db) => sql.raw(statement).execute(db));
  }
  const urlOf = (user: string, password: string) => {
    const url = new URL(server.url('broker'));
    Object.assign(url, { username: user, password });
    return url.href;
  };
  const settings = settingsFor(urlOf('broker', 'CHANGE-ME-2'));
  await migrateStore({ ...settings, migrationDatabaseUrl: new Secret(urlOf('broker_owner', 'CHANGE-ME-1')) });
  const store = await openStore(settings);
  await store.audit.append(aRecord('token.release'));
  await store.close();
  assert.deepEqual(settings.warnings, []);
});

test('migrating mends rights that were lost, and takes those that are too many', async (t) => {
  const url = await useMigratedDatabase(t);
  const owner = useConnection(t, ownerUrl(url));
  await owner.run((db) => sql`revoke insert on audit_log from broker`.execute(db));
  await owner.run((db) => sql`grant delete on audit_log to broker`.execute(db));
  await assert.rejects(openStore(settingsFor(url)), {
    code: 'CONFIG_INVALID',
    problems: [
      'the role "broker" lacks rights in the database (insert on audit_log): run `broker migrate`, with the owner of the tables in BROKER_MIGRATION_DATABASE_URL',
    ],
  });
  await owner.run((db) => sql`grant insert on audit_log to broker`.execute(db));
  const settings = settingsFor(url);
  await (await openStore(settings)).close();
  assert.deepEqual(settings.warnings, ['the role of the broker may do more than it needs']);

  await migrateStore({ ...settings, migrationDatabaseUrl: new Secret(ownerUrl(url)) });
  const after = settingsFor(url);
  await (await openStore(after)).close();
  assert.deepEqual(after.warnings, []);
});

test('one role for both migrates at the start, and is told that only a trigger guards the record', async (t) => {
  const url = ownerUrl(await useEmptyDatabase(t));
  const settings = settingsFor(url);
  const store = await openStore(settings);
  await store.audit.append(aRecord('token.release'));
  await store.close();
  assert.deepEqual(settings.warnings, [
    'the broker runs as the owner of its tables: only a trigger guards the audit record against it',
  ]);
});

test('migrating as a role that does not own the tables, or for one that is not there, says what to do', async (t) => {
  const url = await useMigratedDatabase(t);
  await assert.rejects(migrateStore(settingsFor(url)), {
    code: 'CONFIG_INVALID',
    problems: [
      'the role "broker" may not change the tables of this database: run `broker migrate`, with the owner of the tables in BROKER_MIGRATION_DATABASE_URL (docs/operating.md, "Database roles")',
    ],
  });
  const nobody = new URL(url);
  nobody.username = 'nobody_here';
  const migrationDatabaseUrl = new Secret(ownerUrl(url));
  await assert.rejects(migrateStore({ ...settingsFor(nobody.href), migrationDatabaseUrl }), {
    code: 'CONFIG_INVALID',
    problems: [
      'there is no role "nobody_here", which DATABASE_URL names: make it first (docs/operating.md, "Database roles")',
    ],
  });
});

test('a PostgreSQL of our own has both roles by itself, and keeps its data', async (t) => {
  const folder = await useFolder(t);
  await chmod(folder, 0o711);
  for (const round of [1, 2]) {
    const settings = settingsFor(undefined, folder);
    const store = await openStore(settings);
    await store.audit.append(aRecord('token.release'));
    assert.equal((await store.audit.list({ limit: 10 })).length, round);
    await store.close();
    assert.deepEqual(settings.warnings, [
      'DATABASE_URL is not set: keeping the record in a PostgreSQL of our own, for one replica only',
    ]);
  }
});
