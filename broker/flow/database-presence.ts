/**
 * Whether the database answers in time, as readers of tokens see it. The first step that gets no answer within the
 * patience makes it count as away; from then on nobody waits for it, and one probe at a time finds out when it is back.
 */
import { asBrokerError, BrokerError } from '../errors.ts';

const probeEveryMs = 200;

export interface DatabasePresence {
  isAway(): boolean;
  /**
   * Runs a step. Throws STORE_UNAVAILABLE where it has no answer within the patience (or `ms`); it may still be done
   * later then. Throws what the step throws.
   */
  within<T>(step: () => Promise<T>, ms?: number): Promise<T>;
  /** Calls the listener each time when the database is back. */
  onBack(listener: () => void): void;
  stop(): Promise<void>;
}

export function createDatabasePresence(deps: {
  /** Throws where the database does not answer. */
  readonly check: () => Promise<void>;
  readonly patienceMs: number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told when it is away, and when it is back. */
  readonly onChange: (away: boolean) => void;
}): DatabasePresence {
  const { check, patienceMs, sleep, onChange } = deps;
  const stopping = new AbortController();
  const listeners: (() => void)[] = [];
  let away = false;
  let probing: Promise<void> = Promise.resolve();

  function lost(): void {
    if (away || stopping.signal.aborted) return;
    away = true;
    onChange(true);
    probing = probe();
  }

  async function probe(): Promise<void> {
    for (;;) {
      await sleep(probeEveryMs, stopping.signal);
      if (stopping.signal.aborted) return;
      const answer = check();
      const answers = await inTime(answer, patienceMs).then(
        () => true,
        () => false,
      );
      if (answers) break;
      // A probe that hangs holds a connection: no second one before it ends.
      await answer.catch(() => {});
    }
    away = false;
    onChange(false);
    for (const listener of listeners) listener();
  }

  return {
    isAway: () => away,
    async within(step, ms = patienceMs) {
      try {
        return await inTime(step(), ms);
      } catch (error) {
        if (isUnavailable(error)) lost();
        throw error;
      }
    },
    onBack: (listener) => void listeners.push(listener),
    async stop() {
      stopping.abort();
      await probing;
    },
  };
}

/** Whether an error says that the database does not answer, and not that it refuses. */
export function isUnavailable(error: unknown): boolean {
  const { code, cause } = asBrokerError(error);
  return code === 'STORE_UNAVAILABLE' || (code === 'AUDIT_UNAVAILABLE' && cause !== undefined && isUnavailable(cause));
}

async function inTime<T>(answer: Promise<T>, ms: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new BrokerError('STORE_UNAVAILABLE', { detail: `no answer within ${ms} ms` })),
    ms,
  );
  // What comes too late, or fails then, is of no concern here.
  answer.catch(() => {});
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
