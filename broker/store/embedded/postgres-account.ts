import { execFileSync, spawnSync } from 'node:child_process';

/** A system account, by its numbers. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const NAME = 'postgres';

/**
 * Finds the account that PostgreSQL runs as, since it refuses to run as root: `undefined` (our own) for an ordinary
 * user; for root the system user `postgres`, which is added where there is none.
 *
 * Throws where root cannot add it.
 */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return lookUp() ?? add();
}

/** Says whether an account can reach a path and use it, by asking the system in its name. */
export function canUse(account: Account | undefined, path: string, mode: '-x' | '-r' | '-w'): boolean {
  return spawnSync('test', [mode, path], { ...account }).status === 0;
}

function lookUp(): Account | undefined {
  const uid = numberOf('-u');
  const gid = numberOf('-g');
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

function numberOf(flag: '-u' | '-g'): number | undefined {
  const answer = spawnSync('id', [flag, NAME], { encoding: 'utf8' });
  return answer.status === 0 ? Number.parseInt(answer.stdout, 10) : undefined;
}

function add(): Account {
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', NAME], { stdio: 'pipe' });
  } catch (cause) {
    throw new Error(`postgresql refuses to run as root, and the system user "${NAME}" could not be added`, { cause });
  }
  const account = lookUp();
  if (account === undefined) throw new Error(`the system user "${NAME}" was added but cannot be found`);
  return account;
}
