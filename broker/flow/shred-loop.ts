import type { Scheduler } from '../domain/caller.ts';
import type { ContinueShreds } from './continue-shreds.ts';

const idleMs = 30_000;
const busyMs = 1_000;

export interface ShredLoop {
  /** Does what can be done now. */
  runOnce(): Promise<void>;
  /** Runs until stopped. */
  start(): void;
  /** Looks at once. */
  wake(): void;
  stop(): Promise<void>;
}

/** Looks for shreds that are under way: each second while there is one, else now and then, since other brokers start some, too. */
export function createShredLoop(deps: {
  readonly continueShreds: ContinueShreds;
  readonly newRequestId: () => string;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}): ShredLoop {
  const { continueShreds, newRequestId, sleep, onFault } = deps;
  const stopping = new AbortController();
  let woken = new AbortController();
  let loop: Promise<void> | undefined;
  let newest: Promise<unknown> = Promise.resolve();

  /** One after the other, so that whoever waits for a run knows what it has seen. */
  function step(): Promise<boolean> {
    const caller: Scheduler = { kind: 'scheduler', requestId: newRequestId() };
    const run = newest.then(
      () => continueShreds(caller),
      () => continueShreds(caller),
    );
    newest = run;
    return run;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = new AbortController();
      const busy = await step().catch((error: unknown) => {
        onFault(error);
        return true;
      });
      await sleep(busy ? busyMs : idleMs, AbortSignal.any([stopping.signal, woken.signal]));
    }
  }

  return {
    runOnce: async () => void (await step()),
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
