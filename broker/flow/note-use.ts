/**
 * Notes which channels are used: read by a workload that may, or watched by one. A channel in use has its token refreshed
 * ahead of time.
 *
 * Nobody who reads waits for it. It is written in batches, at most once an hour for each channel by each replica, and
 * kept in memory while the database is away; what is lost with the process is an hour of days.
 */
import type { Clock, Store } from '../ports.ts';

const coarsenessMs = 3_600_000;
const flushEveryMs = 30_000;
const largestBatch = 1_000;
const mostRemembered = 200_000;

export interface NoteUse {
  used(channel: string): void;
  /** When it was last used here, as far as this process remembers. */
  lastUsedAt(channel: string): Date | undefined;
  start(): void;
  /** Writes now what is not written yet; keeps what could not be written. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

export function createNoteUse(deps: {
  readonly store: { readonly channels: Pick<Store['channels'], 'noteUse'> };
  /** The channels that are watched now by workloads that may read them. */
  readonly watched: () => Iterable<string>;
  readonly clock: Clock;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}): NoteUse {
  const { store, clock, sleep } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  /** channel → when it was last used; `unwritten` are those of them that the database does not know */
  const remembered = new Map<string, Date>();
  const unwritten = new Set<string>();
  const written = new Map<string, number>();

  function used(channel: string): void {
    const now = clock.now();
    if (remembered.size >= mostRemembered && !remembered.has(channel)) forgetWritten();
    if (remembered.size >= mostRemembered && !remembered.has(channel)) return;
    remembered.set(channel, now);
    if (now.getTime() - (written.get(channel) ?? Number.NEGATIVE_INFINITY) >= coarsenessMs) unwritten.add(channel);
  }

  function forgetWritten(): void {
    for (const channel of remembered.keys()) if (!unwritten.has(channel)) remembered.delete(channel);
    written.clear();
  }

  async function flush(): Promise<void> {
    for (const channel of deps.watched()) used(channel);
    const waiting = [...unwritten];
    for (let from = 0; from < waiting.length; from += largestBatch) {
      const batch = new Map(
        waiting.slice(from, from + largestBatch).map((id) => [id, remembered.get(id) ?? clock.now()]),
      );
      for (const id of await store.channels.noteUse(batch, coarsenessMs)) {
        unwritten.delete(id);
        written.set(id, batch.get(id)?.getTime() ?? 0);
      }
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sleep(flushEveryMs, stopping.signal);
      // The database is away, which others tell: what is noted stays for the next time.
      await flush().catch(() => undefined);
    }
  }

  return {
    used,
    lastUsedAt: (channel) => remembered.get(channel),
    start() {
      loop ??= run();
    },
    flush,
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
