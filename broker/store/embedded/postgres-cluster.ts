import { execFile } from 'node:child_process';
import { access, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Account } from './postgres-account.ts';

const FORMER_SERVER_GONE_WITHIN_MS = 15_000;
const LOOK_AGAIN_MS = 100;

/** The whole environment of PostgreSQL's programs. Messages in English: the line that says it is ready is looked for. */
export const postgresEnvironment = { PATH: '/usr/bin:/bin', LC_ALL: 'C' };

/** The cluster to make. */
export interface ClusterOptions {
  readonly initdb: string;
  /** Where it shall be; its parent is there. */
  readonly cluster: string;
  readonly user: string;
  readonly password: string;
  readonly account: Account | undefined;
  readonly durable: boolean;
}

/**
 * Makes a cluster where there is none. It is made beside and renamed into place, so that a cluster that is there is
 * complete, whenever its making was cut short.
 */
export async function makeClusterOnce(options: ClusterOptions): Promise<void> {
  const { cluster, account, password } = options;
  if (await exists(join(cluster, 'PG_VERSION'))) return;
  const unfinished = `${cluster}.unfinished`;
  const passwordFile = `${cluster}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  try {
    if (account) {
      await chown(unfinished, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    await promisify(execFile)(options.initdb, initdbArguments(options, unfinished, passwordFile), {
      ...account,
      env: postgresEnvironment,
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(unfinished, cluster);
}

function initdbArguments({ user, durable }: ClusterOptions, directory: string, passwordFile: string): string[] {
  return [
    `--pgdata=${directory}`,
    `--username=${user}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(durable ? [] : ['--no-sync']),
  ];
}

/**
 * Waits for a server whose parent was killed: it ends by itself within moments, and its lock must be gone before the
 * next one starts. Throws where it stays, which is then no left-over but somebody's server.
 */
export async function formerServerGone(cluster: string): Promise<void> {
  const lock = join(cluster, 'postmaster.pid');
  for (let waited = 0; waited < FORMER_SERVER_GONE_WITHIN_MS; waited += LOOK_AGAIN_MS) {
    const pid = Number.parseInt(await readFile(lock, 'utf8').catch(() => ''), 10);
    if (Number.isNaN(pid) || !isAlive(pid)) return;
    await delay(LOOK_AGAIN_MS);
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

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
