/**
 * Opens the system of record, or migrates it.
 *
 * A database whose tables belong to another role is migrated as that role only (`broker migrate`), and checked here. One
 * whose tables belong to the role that the broker runs as is migrated at its start.
 */

import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Store } from '../ports.ts';
import { createDatabase, type Database } from './database.ts';
import { migrate, pendingMigrations } from './migrate.ts';
import { openServer, roleOf, type ServerSettings } from './open-server.ts';
import { compareRights, howToMigrate, type RoleState, requireRights, roleState } from './roles.ts';
import { createStore } from './store.ts';

const migrator = 'token-broker migrate';

/**
 * Throws STORE_UNAVAILABLE where the database cannot be reached, CONFIG_INVALID where it belongs to a newer broker, or to
 * an older one and another role, or where the role lacks rights.
 */
export async function openStore(settings: ServerSettings): Promise<Store & { close(): Promise<void> }> {
  const { log } = settings;
  const server = await openServer(settings);
  const database = createDatabase({ url: server.url, applicationName: 'token-broker' });
  const close = async () => {
    await database.close();
    await server.stop();
  };
  try {
    if (server.ownerUrl !== undefined) {
      const runtimeRole = roleOf(server.url);
      logMigrations(log, await migrate({ url: server.ownerUrl, applicationName: migrator, runtimeRole }));
    }
    const role = await database.run(roleState);
    const pending = await database.run(pendingMigrations);
    if (pending.length > 0) {
      if (!role.mayMigrate) throw notCurrent(role, pending);
      logMigrations(log, await migrate({ url: server.url, applicationName: migrator }));
    }
    await checkRights(database, role, log);
    return { ...createStore({ database }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

export interface MigrateSettings extends ServerSettings {
  /** Connects as the owner of the tables; not set where that is the role in `databaseUrl`. */
  readonly migrationDatabaseUrl?: Secret<string> | undefined;
}

/** What `broker migrate` did. */
export interface Migrated {
  /** The names of the migrations that were run, oldest first. */
  readonly migrations: readonly string[];
  /** The role that was given the rights of a running broker; undefined where the owner runs the broker. */
  readonly grantedTo: string | undefined;
}

/** Brings the database to this version, as its owner. Throws as `migrate` does, and STORE_UNAVAILABLE. */
export async function migrateStore(settings: MigrateSettings): Promise<Migrated> {
  const server = await openServer(settings);
  try {
    const url = settings.migrationDatabaseUrl?.reveal() ?? server.ownerUrl ?? server.url;
    const runtimeRole = roleOf(server.url);
    const migrations = await migrate({ url, applicationName: migrator, runtimeRole });
    return { migrations, grantedTo: runtimeRole === roleOf(url) ? undefined : runtimeRole };
  } finally {
    await server.stop();
  }
}

async function checkRights(database: Database, role: RoleState, log: ServerSettings['log']): Promise<void> {
  const rights = await database.run(compareRights);
  requireRights(role, rights);
  if (role.mayMigrate) {
    log.warn(
      { role: role.name },
      'the broker runs as the owner of its tables: only a trigger guards the audit record against it',
    );
  } else if (rights.exceeds.length > 0) {
    log.warn({ role: role.name, exceeds: rights.exceeds }, 'the role of the broker may do more than it needs');
  }
}

function logMigrations(log: ServerSettings['log'], migrations: readonly string[]): void {
  if (migrations.length > 0) log.info({ migrations }, 'database brought to this version');
}

/** For a database of an older version. */
export function notCurrent(role: RoleState, [next = '']: readonly string[]): BrokerError {
  const problem = `the database is not at the version of this broker (it lacks "${next}"), and the role "${role.name}" may not change it: ${howToMigrate}`;
  return new BrokerError('CONFIG_INVALID', { detail: problem, problems: [problem] });
}
