import { randomBytes } from 'node:crypto';
import { createDatabase, createTemplate, dropDatabase, type Postgres, startPostgres } from '../../stack/postgres.ts';
import { atEnd, type Scope } from './scope.ts';

/** A database to copy instead of starting empty. */
export interface Template {
  /** Names it within the test run: letters, digits, underscores. */
  readonly name: string;
  /** Fills it; called once in a test run, with the URL of an empty database. Leaves no connection open. */
  readonly prepare: (url: string) => Promise<void>;
}

/**
 * Makes a database that nobody else uses, on the PostgreSQL of the test run, or on one of its own where a test file is
 * run alone. Returns its URL; it is dropped after the scope.
 */
export async function useDatabase(scope: Scope, template?: Template): Promise<string> {
  const adminUrl = process.env.TEST_DATABASE_ADMIN_URL ?? (await useOwnPostgres(scope)).url('postgres');
  const name = `test_${randomBytes(6).toString('hex')}`;
  if (template) await createTemplate(adminUrl, template.name, template.prepare);
  const url = await createDatabase(adminUrl, name, template?.name);
  atEnd(scope, () => dropDatabase(adminUrl, name));
  return url;
}

/**
 * Starts a PostgreSQL that nobody else uses, to be stopped and started again; up in half a second. A durable one syncs
 * to disk as in production.
 */
export async function useOwnPostgres(scope: Scope, options: { readonly durable?: boolean } = {}): Promise<Postgres> {
  const postgres = await startPostgres({ ...options, log: () => {} });
  atEnd(scope, postgres.stop);
  return postgres;
}
