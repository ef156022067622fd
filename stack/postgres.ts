import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../broker/store/embedded-postgres.ts';

/** A real PostgreSQL cluster for one run: fast, and gone with all its data when stopped. */
export interface Postgres {
  /** A database on it, whether it exists or not. */
  url(database: string): string;
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL cluster of its own. The data lie in the system's folder for temporary files: as root, PostgreSQL
 * runs as another user, who may not reach the folder that this repository is in.
 */
export async function startPostgres({ log }: { readonly log: (line: string) => void }): Promise<Postgres> {
  const directory = await mkdtemp(join(tmpdir(), 'token-broker-postgres-'));
  // Reachable, not readable, by the account that PostgreSQL runs as.
  await chmod(directory, 0o711);
  const forget = () => rm(directory, { recursive: true, force: true });
  try {
    const server = await startEmbeddedPostgres({ directory, durable: false, log });
    return { url: server.url, stop: () => server.stop().then(forget) };
  } catch (error) {
    await forget();
    throw error;
  }
}

/**
 * Makes a database on the server that `adminUrl` belongs to, as a copy of `template` where given (which nothing may be
 * connected to). Returns its URL.
 */
export async function createDatabase(adminUrl: string, name: string, template?: string): Promise<string> {
  const copy = template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(template)}`;
  await run(adminUrl, `CREATE DATABASE ${pg.escapeIdentifier(name)}${copy}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Drops a database, also one that is still connected to. */
export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await run(adminUrl, `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
}

async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
