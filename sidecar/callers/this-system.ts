/** What this system tells of who calls: on Linux, `/proc`. */
import { existsSync, readFileSync } from 'node:fs';
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
 * @param steady Milliseconds that only ever grow.
 * @throws Error in a sentence, where the allow-list cannot be decided on this system.
 */
export function findersOfThisSystem({ needsUser }: AllowList, steady: () => number): ThisSystem {
  const tables = TABLES.filter((path) => existsSync(path));
  if (tables.length > 0) {
    const readTables = () => tables.map((path) => readFileSync(path, 'latin1'));
    return { findPeer: createPeerTable(readTables, steady), findProcess: createProcessFinder() };
  }
  if (needsUser)
    throw new Error(
      'cannot tell local callers from each other, because this system has no /proc/net/tcp; SIDECAR_CALLERS=*=any serves every program on the machine',
    );
  return { findPeer: undefined, findProcess: undefined };
}
