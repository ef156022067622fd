import type { Store } from '../../broker/ports.ts';
import { createDatabase, type Database } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { databaseRoles, giveToOwner, urlAs } from '../../stack/postgres-roles.ts';
import { adminUrlOf, ownerUrl, useDatabase } from './postgres.ts';
import { atEnd, type Scope } from './scope.ts';

const patienceMs = 60_000;

/** Migrates a database as its owner and answers its URL as the role that the broker runs as. */
async function prepare(url: string): Promise<string> {
  const database = databaseIn(url);
  await giveToOwner(adminUrlOf(url), database);
  await migrate({ url: ownerUrl(url), applicationName: 'test', runtimeRole: databaseRoles.runtime });
  return urlAs('runtime', adminUrlOf(url), database);
}

/** Makes a URL of a database that nobody else uses and that has all migrations, as the role that the broker runs as. */
export async function useMigratedDatabase(scope: Scope): Promise<string> {
  const url = await useDatabase(scope, {
    name: 'migrated',
    prepare: async (template) => void (await prepare(template)),
  });
  const database = databaseIn(url);
  await giveToOwner(adminUrlOf(url), database);
  return urlAs('runtime', adminUrlOf(url), database);
}

/** Migrates the database that a superuser's URL names; answers its URL as the role that the broker runs as. */
export function migratedDatabase(superuserUrl: string): Promise<string> {
  return prepare(superuserUrl);
}

/** Makes an empty store that nobody else uses, as the role that the broker runs as. */
export async function useStore(scope: Scope): Promise<{ store: Store; database: Database; url: string }> {
  const url = await useMigratedDatabase(scope);
  const database = useConnection(scope, url);
  return { store: createStore({ database }), database, url };
}

/**
 * Connects to a database by any URL, for instance by `ownerUrl(url)` or `superuserUrl(url)`. Patiently: a test may keep a
 * transaction open for as long as another process takes to start, and a busy machine takes its time to connect.
 */
export function useConnection(scope: Scope, url: string): Database {
  const database = createDatabase({
    url,
    applicationName: 'test',
    connectTimeoutMs: patienceMs,
    statementTimeoutMs: patienceMs,
  });
  atEnd(scope, () => database.close());
  return database;
}

function databaseIn(url: string): string {
  return new URL(url).pathname.slice(1);
}
