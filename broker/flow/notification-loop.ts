import type { Scheduler } from '../domain/caller.ts';
import type { Clock, Store } from '../ports.ts';
import type { DeliverNotification } from './deliver-notification.ts';
import type { TellExpiring } from './tell-expiring.ts';

export interface NotificationLoop {
  /** Looks for grants that are about to end, and delivers everything that is due by the broker's clock; answers how many tries that were. */
  runOnce(): Promise<number>;
  /** Runs until stopped: deliveries as they are woken, the look once in a while. */
  start(): void;
  stop(): Promise<void>;
}

const lookEveryMs = 3_600_000;
const busyMs = 1_000;
const mostAtOnce = 500;
/** What waits for longer than its due time has lost its job, for example by a restored backup. */
const overdueMs = 600_000;

/**
 * Deliveries run beside everything else: on connections, and within a bound, of their own. Without `deliver` (no receiver is
 * set) notifications are kept and nothing is sent.
 */
export function createNotificationLoop(deps: {
  readonly store: Store;
  readonly clock: Clock;
  readonly deliver: DeliverNotification | undefined;
  readonly tellExpiring: TellExpiring;
  readonly deliveryConcurrency: number;
  readonly newRequestId: () => string;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}): NotificationLoop {
  const { store, clock, deliver, tellExpiring, deliveryConcurrency: concurrency, sleep, onFault } = deps;
  const stopping = new AbortController();
  let running: { loop: Promise<void>; work: { stop(): Promise<void> } | undefined } | undefined;

  async function look(): Promise<boolean> {
    const caller: Scheduler = { kind: 'scheduler', requestId: deps.newRequestId() };
    const { more } = await tellExpiring(caller);
    if (deliver) await store.notifications.wakeOverdue(new Date(clock.now().getTime() - overdueMs), mostAtOnce);
    return more;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const more = await look().catch((error: unknown) => {
        onFault(error);
        return false;
      });
      await sleep(more ? busyMs : lookEveryMs, stopping.signal);
    }
  }

  return {
    async runOnce() {
      await look();
      if (!deliver) return 0;
      const due = await store.notifications.due(clock.now(), mostAtOnce);
      const left = [...due];
      const worker = async () => {
        for (let id = left.shift(); id !== undefined; id = left.shift()) await deliver(id);
      };
      await Promise.all(Array.from({ length: concurrency }, worker));
      return due.length;
    },
    start() {
      running ??= {
        loop: run(),
        work: deliver && store.notifications.work(async (id) => void (await deliver(id)), { concurrency, onFault }),
      };
    },
    async stop() {
      stopping.abort();
      await Promise.all([running?.loop, running?.work?.stop()]);
    },
  };
}
