import type { Store } from '../../broker/ports.ts';
import { createDatabase, type Database } from '../../broker/store/database.ts';
import { migrate } from '../../broker/store/migrate.ts';
import { createStore } from '../../broker/store/store.ts';
import { useDatabase } from './postgres.ts';
import { atEnd, type Scope } from './scope.ts';

const migrated = {
  name: 'migrated',
  prepare: async (url: string) => void (await migrate({ url, applicationName: 'test' })),
};

/** Makes a URL of a database that nobody else uses and that has all migrations. */
export function useMigratedDatabase(scope: Scope): Promise<string> {
  return useDatabase(scope, migrated);
}

/** Makes an empty store that nobody else uses. */
export async function useStore(scope: Scope): Promise<{ store: Store; database: Database; url: string }> {
  const url = await useMigratedDatabase(scope);
  const database = createDatabase({ url, applicationName: 'test' });
  atEnd(scope, () => database.close());
  return { store: createStore({ database }), database, url };
}
