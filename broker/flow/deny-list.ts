/**
 * Who is shut out of everything, by heart: it is asked on every call. Read anew whenever the database tells of a change; while
 * that is away, what was read last holds. Before it was read once, nobody is let in.
 */
import type { Store } from '../ports.ts';
import { isUnavailable } from './database-presence.ts';

const firstRetryMs = 100;
const longestRetryMs = 5_000;

export interface DenyList {
  /** By SPIFFE ID or serial number. Undefined before it was read for the first time. */
  has(subject: string): boolean | undefined;
  /** Reads it. Throws STORE_UNAVAILABLE. */
  load(): Promise<void>;
  /** Reads it soon, again and again until that works. */
  changed(): void;
  stop(): Promise<void>;
}

export function createDenyList(deps: {
  readonly store: { readonly workloadDenials: Pick<Store['workloadDenials'], 'subjects'> };
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told when the list is another one, with its length. */
  readonly onChange: (length: number) => void;
  readonly onFault: (error: unknown) => void;
}): DenyList {
  const { store, randomFraction, sleep, onChange, onFault } = deps;
  const stopping = new AbortController();
  let subjects: ReadonlySet<string> | undefined;
  let due = false;
  let reading: Promise<void> | undefined;

  async function load(): Promise<void> {
    subjects = new Set(await store.workloadDenials.subjects());
    onChange(subjects.size);
  }

  async function read(): Promise<void> {
    for (let failures = 0; due && !stopping.signal.aborted; ) {
      // What changes from here on is not certain to be in it.
      due = false;
      try {
        await load();
        failures = 0;
      } catch (error) {
        due = true;
        if (!isUnavailable(error)) onFault(error);
        const pause = Math.min(longestRetryMs, firstRetryMs * 2 ** failures);
        failures += 1;
        await sleep(pause * (0.5 + randomFraction() / 2), stopping.signal);
      }
    }
    reading = undefined;
  }

  return {
    has: (subject) => subjects?.has(subject),
    load,
    changed() {
      due = true;
      reading ??= read();
    },
    async stop() {
      stopping.abort();
      await reading;
    },
  };
}
