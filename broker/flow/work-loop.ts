import type { Scheduler } from '../domain/caller.ts';

/** How soon it looks again after a fault. */
const afterFaultMs = 1_000;

export interface WorkLoop {
  /** Does what can be done now. */
  runOnce(): Promise<void>;
  /** Runs until stopped. */
  start(): void;
  /** Looks at once. */
  wake(): void;
  stop(): Promise<void>;
}

/**
 * Runs one kind of work, now and then, since other brokers begin some, too, and as soon as there is more to do. `step` does what
 * can be done now and answers after how many milliseconds to look again.
 */
export function createWorkLoop(deps: {
  readonly step: (caller: Scheduler) => Promise<number>;
  readonly newRequestId: () => string;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}): WorkLoop {
  const { step, newRequestId, sleep, onFault } = deps;
  const stopping = new AbortController();
  let woken = new AbortController();
  let loop: Promise<void> | undefined;
  let newest: Promise<unknown> = Promise.resolve();

  /** One after the other, so that whoever waits for a run knows what it has seen. */
  function next(): Promise<number> {
    const caller: Scheduler = { kind: 'scheduler', requestId: newRequestId() };
    const run = newest.then(
      () => step(caller),
      () => step(caller),
    );
    newest = run;
    return run;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = new AbortController();
      const pauseMs = await next().catch((error: unknown) => {
        onFault(error);
        return afterFaultMs;
      });
      await sleep(pauseMs, AbortSignal.any([stopping.signal, woken.signal]));
    }
  }

  return {
    runOnce: async () => void (await next()),
    start() {
      loop ??= run();
    },
    wake: () => woken.abort(),
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
