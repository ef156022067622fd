/** What this system tells of who calls: on Linux, `/proc`. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { AllowList } from './allow-list.ts';
import { createPeerTable, type FindPeer } from './peer-table.ts';
import { createProcessFinder, type FindProcess } from './process-finder.ts';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

export interface ThisSystem {
  readonly findPeer: FindPeer | undefined;
  readonly findProcess: FindProcess | undefined;
}

/**
 * Makes the finders.
 *
 * @throws Error in a sentence, where the allow-list cannot be decided on this system.
 */
export function findersOfThisSystem({ needsUser }: AllowList): ThisSystem {
  const tables = TABLES.filter((path) => existsSync(path));
  if (tables.length > 0) {
    const readTables = () => Promise.all(tables.map((path) => readFile(path, 'latin1')));
    return { findPeer: createPeerTable(readTables), findProcess: createProcessFinder() };
  }
  if (needsUser)
    throw new Error(
      'cannot tell local callers from each other, because this system has no /proc/net/tcp; SIDECAR_CALLERS=*=any serves every program on the machine',
    );
  return { findPeer: undefined, findProcess: undefined };
}
