/**
 * Whether the worker is still there, for a sidecar that was asked to end with it: a process by its id, or any process
 * of a user. In a pod the latter needs `shareProcessNamespace: true`.
 */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

/** Whose end to wait for. */
export type Presence = { readonly pid: number } | { readonly uid: number };

const LOOK_EVERY_MS = 1_000;

/** Reads `pid:123` or `uid:1000`; undefined where it is neither. */
export function parsePresence(text: string): Presence | undefined {
  const [, kind, digits] = /^(pid|uid):(\d{1,10})$/.exec(text) ?? [];
  if (kind === 'pid' && Number(digits) > 0) return { pid: Number(digits) };
  return kind === 'uid' ? { uid: Number(digits) } : undefined;
}

export interface GoneOptions {
  /** Told when the first process of the user is there. */
  readonly onSeen?: () => void;
  readonly everyMs?: number;
}

/**
 * Resolves when the worker has gone. A process has gone when it ended, also while its parent has not waited for it, and
 * when another one has its number. A user has gone when processes of theirs were there and no more are.
 *
 * @throws AbortError when the signal fires.
 */
export async function gone(
  presence: Presence,
  signal: AbortSignal,
  { onSeen = () => {}, everyMs = LOOK_EVERY_MS }: GoneOptions = {},
): Promise<void> {
  const look = 'pid' in presence ? await lookForProcess(presence.pid) : lookForUser(presence.uid, onSeen);
  while (!(await look())) await wait(everyMs, undefined, { signal });
}

async function lookForProcess(pid: number): Promise<() => Promise<boolean>> {
  const first = await processOf(pid);
  return async () => {
    const now = await processOf(pid);
    return now === undefined || now.state === 'Z' || now.startedAt !== first?.startedAt;
  };
}

function lookForUser(uid: number, onSeen: () => void): () => Promise<boolean> {
  let seen = false;
  return async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    const owned = await Promise.all(pids.map(async (pid) => pid !== process.pid && (await isOwnedBy(pid, uid))));
    const present = owned.includes(true);
    if (present && !seen) onSeen();
    seen ||= present;
    return seen && !present;
  };
}

/** State and start of a process, in ticks since the system's; undefined where there is none. */
async function processOf(pid: number): Promise<{ readonly state: string; readonly startedAt: string } | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name of the program is in parentheses and may hold anything.
  const fields = stat?.replace(/^.*\) /s, '').split(' ');
  return fields && { state: fields[0] ?? '', startedAt: fields[19] ?? '' };
}

async function isOwnedBy(pid: number, uid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(status) && !/^State:\s+Z/m.test(status);
}
