/**
 * The scheduler: claims what is due, refreshes it with bounded concurrency, and sleeps until the next due time. It
 * wakes early when a channel becomes active, and looks now and then all the same, since other brokers write, too.
 */
import type { Scheduler } from '../domain/caller.ts';
import { retentionEveryMs } from '../domain/retention.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { RetentionRun } from './apply-retention.ts';
import type { PerformRefresh } from './perform-refresh.ts';
import { claimMs } from './refresh-channel.ts';
import type { StoreSpooledTokens } from './store-spooled-tokens.ts';

const longestSleepMs = 30_000;
const afterFaultMs = 2_000;

export interface RefreshScheduler {
  /** Refreshes everything that is due now; answers how many channels that were. */
  runOnce(): Promise<number>;
  /** Runs until stopped. */
  start(): void;
  /** Looks again at once: a channel's due time may have come closer. */
  wake(): void;
  /** Waits for the refreshes that run. */
  stop(): Promise<void>;
}

export interface RefreshSchedulerDeps {
  readonly store: Store;
  readonly performRefresh: PerformRefresh;
  readonly storeSpooledTokens: StoreSpooledTokens;
  readonly finishConsents: (caller: Scheduler, withoutCallback: ReadonlySet<string>) => Promise<number>;
  /** Deletes what is kept no longer; where it could not, the next run does. */
  readonly applyRetention: (caller: Scheduler) => Promise<RetentionRun>;
  readonly clock: Clock;
  readonly concurrency: number;
  readonly newRequestId: () => string;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onFault: (error: unknown) => void;
}

export function createRefreshScheduler(deps: RefreshSchedulerDeps): RefreshScheduler {
  const {
    store,
    performRefresh,
    storeSpooledTokens,
    finishConsents,
    applyRetention,
    clock,
    concurrency,
    newRequestId,
    sleep,
    onFault,
  } = deps;
  const stopping = new AbortController();
  let woken = new AbortController();
  let loop: Promise<void> | undefined;
  let retentionDue = new Date(0);
  let newest: Promise<unknown> = Promise.resolve();
  let stillSpooled = 0;

  const caller = (): Scheduler => ({ kind: 'scheduler', requestId: newRequestId() });

  /** One after the other, so that whoever waits for a run knows that everything due before it has been dealt with. */
  function runOnce(): Promise<number> {
    const run = newest.then(refreshDue, refreshDue);
    newest = run;
    return run;
  }

  async function refreshDue(): Promise<number> {
    // First of all: a grant is refreshed with its newest token, and its consent finished with what is stored.
    const spooled = await storeSpooledTokens(caller());
    stillSpooled = spooled.waiting;
    await finishConsents(caller(), spooled.consents).catch(onFault);
    let done = 0;
    while (!stopping.signal.aborted) {
      const now = clock.now();
      const claims = await store.channels.claimDue(now, new Date(now.getTime() + claimMs), concurrency);
      // Every outcome is written and audited by the refresh itself; only faults of the broker are told here.
      await Promise.all(
        claims.map((claim) =>
          performRefresh(caller(), claim).catch((error: unknown) => {
            if (asBrokerError(error).code === 'INTERNAL') onFault(error);
          }),
        ),
      );
      done += claims.length;
      if (claims.length < concurrency) break;
    }
    if (clock.now() >= retentionDue) await keepRetention().catch(onFault);
    return done;
  }

  /** One run an hour; where it was full, one with each look, so that refreshes are never far behind. */
  async function keepRetention(): Promise<void> {
    const startedAt = clock.now().getTime();
    const { more } = await applyRetention(caller());
    if (!more) retentionDue = new Date(startedAt + retentionEveryMs);
  }

  async function nap(): Promise<void> {
    const due = await store.channels.nextDue();
    if (stillSpooled > 0) return sleep(afterFaultMs, AbortSignal.any([stopping.signal, woken.signal]));
    const untilDue = due ? Math.max(0, due.getTime() - clock.now().getTime()) : longestSleepMs;
    await sleep(Math.min(untilDue, longestSleepMs), AbortSignal.any([stopping.signal, woken.signal]));
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = new AbortController();
      try {
        await runOnce();
        await nap();
      } catch (error) {
        onFault(error);
        await sleep(afterFaultMs, stopping.signal);
      }
    }
  }

  return {
    runOnce,
    start() {
      loop ??= run();
    },
    wake() {
      woken.abort();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
