/** Opens the system of record: the database that `DATABASE_URL` names, or a PostgreSQL of the broker's own; migrated. */
import { join } from 'node:path';
import type { Secret } from '../domain/secret.ts';
import type { Store } from '../ports.ts';
import { createDatabase } from './database.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';
import { migrate } from './migrate.ts';
import { createStore } from './store.ts';

export interface StoreSettings {
  readonly databaseUrl?: Secret<string> | undefined;
  /** Where the broker's own PostgreSQL keeps its data when there is no `databaseUrl`. */
  readonly dataDirectory: string;
  /** Told the names of the migrations that were run. */
  readonly onMigrated?: (names: readonly string[]) => void;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    debug(fields: object, message: string): void;
  };
}

/** Throws STORE_UNAVAILABLE where the database cannot be reached, CONFIG_INVALID where it belongs to a newer broker. */
export async function openStore(settings: StoreSettings): Promise<Store & { close(): Promise<void> }> {
  const { databaseUrl, log } = settings;
  const embedded = databaseUrl ? undefined : await startOwn(settings);
  try {
    const url = databaseUrl?.reveal() ?? embedded?.url('postgres') ?? '';
    const applied = await migrate({ url, applicationName: 'token-broker migrate' });
    settings.onMigrated?.(applied);
    if (applied.length > 0) log.info({ migrations: applied }, 'database brought to this version');
    const database = createDatabase({ url, applicationName: 'token-broker' });
    return {
      ...createStore({ database }),
      async close() {
        await database.close();
        await embedded?.stop();
      },
    };
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

function startOwn({ dataDirectory, log }: StoreSettings) {
  const directory = join(dataDirectory, 'postgres');
  log.warn(
    { directory },
    'DATABASE_URL is not set: keeping the record in a PostgreSQL of our own, for one replica only',
  );
  return startEmbeddedPostgres({ directory, durable: true, log: (line) => log.debug({ line }, 'postgres') });
}
