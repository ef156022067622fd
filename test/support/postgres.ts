import { randomBytes } from 'node:crypto';
import { createDatabase, createTemplate, dropDatabase, type Postgres, startPostgres } from '../../stack/postgres.ts';
import { urlAs } from '../../stack/postgres-roles.ts';
import { atEnd, type Scope } from './scope.ts';

/** A database to copy instead of starting empty. */
export interface Template {
  /** Names it within the test run: letters, digits, underscores. */
  readonly name: string;
  /** Fills it; called once in a test run, with the URL of an empty database. Leaves no connection open. */
  readonly prepare: (url: string) => Promise<void>;
}

/** The superuser's URL of each server that this process uses, by host and port. */
const adminUrls = new Map<string, string>();

/** The templates that are known to be there, by server and name: asking again costs a connection for each database. */
const templates = new Map<string, Promise<void>>();

function ensureTemplate(adminUrl: string, { name, prepare }: Template): Promise<void> {
  const key = `${adminUrl} ${name}`;
  const made = templates.get(key) ?? createTemplate(adminUrl, name, prepare);
  templates.set(key, made);
  return made;
}

/** The URL of the superuser on the server of a test's database. */
export function adminUrlOf(url: string): string {
  const adminUrl = adminUrls.get(new URL(url).host);
  if (adminUrl === undefined) throw new Error('this database was not made by test/support/postgres.ts');
  return adminUrl;
}

/** The same database as the superuser, who may do everything. */
export function superuserUrl(url: string): string {
  const superuser = new URL(adminUrlOf(url));
  superuser.pathname = new URL(url).pathname;
  return superuser.href;
}

/** The same database as the owner of its tables, who migrates it. */
export function ownerUrl(url: string): string {
  return urlAs('owner', adminUrlOf(url), new URL(url).pathname.slice(1));
}

/**
 * Makes a database that nobody else uses, on the PostgreSQL of the test run, or on one of its own where a test file is
 * run alone. Returns its URL, as a superuser; it is dropped after the scope.
 */
export async function useDatabase(scope: Scope, template?: Template): Promise<string> {
  const adminUrl = process.env.TEST_DATABASE_ADMIN_URL ?? (await useOwnPostgres(scope)).url('postgres');
  adminUrls.set(new URL(adminUrl).host, adminUrl);
  const name = `test_${randomBytes(6).toString('hex')}`;
  if (template) await ensureTemplate(adminUrl, template);
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
  const adminUrl = postgres.url('postgres');
  adminUrls.set(new URL(adminUrl).host, adminUrl);
  return postgres;
}
