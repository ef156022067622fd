/**
 * Finds the process that holds a socket, by its inode, in `/proc/PID/fd`: as far as this process may look. A worker that
 * connects again is found among those that were found before; a new one among the youngest. Only one that is not to be
 * seen costs a walk through all processes of its user.
 *
 * `/proc` answers from memory, in microseconds: asking it through Node's thread pool would cost twenty times as much. So it
 * is asked directly, in slices, between which requests are served.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Process } from './caller.ts';
import type { PeerSocket } from './peer-table.ts';

export type FindProcess = (peer: PeerSocket) => Promise<Process | undefined>;

const MOST_REMEMBERED = 64;
/** Who opens connections faster than this remains without a process. */
const MOST_WAITING = 256;
const SLICE_MS = 1;

export function createProcessFinder(procFolder = '/proc'): FindProcess {
  /** The processes found last, the newest last. */
  const remembered = new Set<number>();
  let waiting = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const find = async ({ uid, inode }: PeerSocket): Promise<Process | undefined> => {
    let sliceEnds = performance.now() + SLICE_MS;
    for (const pid of candidates(uid)) {
      if (holds(pid, inode)) return describe(pid, inode);
      if (performance.now() < sliceEnds) continue;
      await nextTurn();
      sliceEnds = performance.now() + SLICE_MS;
    }
    return undefined;
  };

  function* candidates(uid: number): Generator<number> {
    const known = [...remembered].reverse();
    yield* known;
    const pids = readdirSync(procFolder).map(Number).filter(Number.isInteger);
    for (const pid of pids.sort((one, other) => other - one)) {
      // What is gone, or not ours to see, holds nothing that we could tell.
      const owner = remembered.has(pid) ? undefined : orNothing(() => statSync(`${procFolder}/${pid}`).uid);
      if (owner === uid) yield pid;
    }
  }

  const holds = (pid: number, inode: string): boolean => {
    const folder = `${procFolder}/${pid}/fd`;
    const link = `socket:[${inode}]`;
    const fds = orNothing(() => readdirSync(folder)) ?? [];
    return fds.some((fd) => orNothing(() => readlinkSync(`${folder}/${fd}`)) === link);
  };

  const describe = (pid: number, inode: string): Process | undefined => {
    const exe = orNothing(() => readlinkSync(`${procFolder}/${pid}/exe`));
    const groups = orNothing(() => readFileSync(`${procFolder}/${pid}/cgroup`, 'utf8')) ?? '';
    // Its number may have gone to another process since.
    if (!holds(pid, inode)) return undefined;
    remembered.delete(pid);
    remembered.add(pid);
    for (const oldest of remembered) {
      if (remembered.size <= MOST_REMEMBERED) break;
      remembered.delete(oldest);
    }
    return { pid, exe, cgroup: /^0::(.+)$/m.exec(groups)?.[1] };
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

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
