import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../broker/store/embedded-postgres.ts';

// Any number will do, as long as all who make templates take the same.
const TEMPLATE_LOCK = 4_820_193;

/** A real PostgreSQL cluster for one run: fast, and gone with all its data when forgotten. */
export interface Postgres {
  /** A database on it, whether it exists or not. */
  url(database: string): string;
  /** Ends the server; connections break and new ones are refused. */
  halt(): Promise<void>;
  /** Starts it again after `halt`, with its data, on the same port. */
  start(): Promise<void>;
  /** Ends it for good and deletes its data. */
  stop(): Promise<void>;
}

/**
 * Starts a PostgreSQL cluster of its own. The data lie in the system's folder for temporary files: as root, PostgreSQL
 * runs as another user, who may not reach the folder that this repository is in.
 */
export async function startPostgres({
  durable = false,
  log,
}: {
  /** `true` for benchmarks: it syncs to disk as in production. */
  readonly durable?: boolean;
  readonly log: (line: string) => void;
}): Promise<Postgres> {
  const directory = await mkdtemp(join(tmpdir(), 'token-broker-postgres-'));
  // Reachable, not readable, by the account that PostgreSQL runs as.
  await chmod(directory, 0o711);
  const forget = () => rm(directory, { recursive: true, force: true });
  try {
    let server = await startEmbeddedPostgres({ directory, durable, log });
    return {
      url: server.url,
      halt: () => server.stop(),
      start: async () => {
        server = await startEmbeddedPostgres({ directory, port: server.port, durable, log });
      },
      stop: () => server.stop().finally(forget),
    };
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
  const create = `CREATE DATABASE ${pg.escapeIdentifier(name)}`;
  await withClient(adminUrl, async (client) => {
    if (template === undefined) await client.query(create);
    else await copyTemplate(client, `${create} TEMPLATE ${pg.escapeIdentifier(template)}`);
  });
  return urlOf(adminUrl, name);
}

/** The kernel copies the files in a fifth of the time that PostgreSQL takes, on systems where it can. */
async function copyTemplate(client: pg.Client, create: string): Promise<void> {
  try {
    await client.query("SET file_copy_method = 'clone'");
    await client.query(`${create} STRATEGY file_copy`);
  } catch {
    await client.query(create);
  }
}

/** Drops a database, also one that is still connected to. */
export async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await withClient(adminUrl, (client) =>
    client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`),
  );
}

/**
 * Makes a database to copy others from, once, however many processes ask: the others wait until it is there.
 * It gets its name only when `prepare` has succeeded.
 */
export async function createTemplate(
  adminUrl: string,
  name: string,
  prepare: (url: string) => Promise<void>,
): Promise<void> {
  await withClient(adminUrl, async (client) => {
    // Held by the session, so given up with it.
    await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rowCount !== 0) return;
    const unfinished = `${name}_unfinished`;
    await dropDatabase(adminUrl, unfinished);
    await prepare(await createDatabase(adminUrl, unfinished));
    await client.query(`ALTER DATABASE ${pg.escapeIdentifier(unfinished)} RENAME TO ${pg.escapeIdentifier(name)}`);
  });
}

function urlOf(adminUrl: string, database: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  return url.href;
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
