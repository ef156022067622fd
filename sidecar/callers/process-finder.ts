/**
 * Finds the process that holds a socket, by its inode, in `/proc/PID/fd`: as far as this process may look. A worker that
 * connects again is found among those that were found before; only a new one costs a walk through all processes.
 */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import type { Process } from './caller.ts';
import type { PeerSocket } from './peer-table.ts';

export type FindProcess = (peer: PeerSocket) => Promise<Process | undefined>;

const MOST_REMEMBERED = 64;
/** Who opens connections faster than this remains without a process. */
const MOST_WAITING = 256;

export function createProcessFinder(procFolder = '/proc'): FindProcess {
  /** The processes found last, the newest last. */
  const remembered = new Set<string>();
  let waiting = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const find = async ({ uid, inode }: PeerSocket): Promise<Process | undefined> => {
    for (const pid of [...remembered].reverse()) if (await holds(pid, inode)) return describe(pid, inode);
    for (const pid of await readdir(procFolder)) {
      if (!/^\d+$/.test(pid) || remembered.has(pid)) continue;
      const owner = await stat(`${procFolder}/${pid}`).catch(() => undefined);
      if (owner?.uid === uid && (await holds(pid, inode))) return describe(pid, inode);
    }
    return undefined;
  };

  const holds = async (pid: string, inode: string): Promise<boolean> => {
    const folder = `${procFolder}/${pid}/fd`;
    // What is gone, or not ours to see, holds nothing that we could tell.
    for (const fd of await readdir(folder).catch(() => []))
      if ((await readlink(`${folder}/${fd}`).catch(() => '')) === `socket:[${inode}]`) return true;
    return false;
  };

  const describe = async (pid: string, inode: string): Promise<Process | undefined> => {
    const exe = await readlink(`${procFolder}/${pid}/exe`).catch(() => undefined);
    const groups = await readFile(`${procFolder}/${pid}/cgroup`, 'utf8').catch(() => '');
    // Its number may have gone to another process since.
    if (!(await holds(pid, inode))) return undefined;
    remembered.delete(pid);
    remembered.add(pid);
    for (const oldest of remembered) {
      if (remembered.size <= MOST_REMEMBERED) break;
      remembered.delete(oldest);
    }
    return { pid: Number(pid), exe, cgroup: /^0::(.+)$/m.exec(groups)?.[1] };
  };

  return async (peer) => {
    if (waiting >= MOST_WAITING) return undefined;
    waiting += 1;
    const found = turn.then(() => find(peer)).catch(() => undefined);
    turn = found;
    try {
      return await found;
    } finally {
      waiting -= 1;
    }
  };
}
