/**
 * The scheduler: lets the pool refresh what is due, and sleeps until the next due time. It wakes early when a channel
 * becomes active, and looks now and then all the same, since other brokers write, too. A look costs the same however
 * many channels there are.
 */
import type { Scheduler } from '../domain/caller.ts';
import { retentionEveryMs } from '../domain/retention.ts';
import type { Clock } from '../ports.ts';
import type { RetentionRun } from './apply-retention.ts';
import { createClockJump } from './clock-jump.ts';
import { createRefreshPool, type Filled, type RefreshPoolDeps } from './refresh-pool.ts';
import type { StoreSpooledTokens } from './store-spooled-tokens.ts';

const longestSleepMs = 30_000;
/** After so long of filling the pool, the other duties have their turn. */
const longestFillMs = 5_000;
const afterFaultMs = 2_000;
/** How soon a jump of the clock is noticed. */
const stretchMs = 5_000;
/** Plans that were made by a clock so far ahead are made anew, spread over some time. */
const wrongByMs = 60_000;
const replanWithinMs = 120_000;
/** What another broker's clock, or this one's before a start, has left behind is looked for so often. */
const mendEveryMs = 3_600_000;
/** Farther ahead than two clocks that are right can be apart: else the slower one would plan everybody's refreshes anew. */
const surelyWrongByMs = 10 * 60_000;

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

export interface RefreshSchedulerDeps extends Omit<RefreshPoolDeps, 'onEnded'> {
  readonly storeSpooledTokens: StoreSpooledTokens;
  readonly finishConsents: (caller: Scheduler, withoutCallback: ReadonlySet<string>) => Promise<number>;
  /** Deletes what is kept no longer; where it could not, the next run does. */
  readonly applyRetention: (caller: Scheduler) => Promise<RetentionRun>;
  /** The machine's own clock, and one that only counts on. */
  readonly identityClock: Clock;
  readonly monotonicMs: () => number;
  /**
   * Told by how much the machine's clock has jumped, and how many channels were planned anew because of it; a jump of 0 is one
   * that only what it has left behind tells of.
   */
  readonly onClockJump: (jumpMs: number, replanned: number) => void;
}

export function createRefreshScheduler(deps: RefreshSchedulerDeps): RefreshScheduler {
  const { storeSpooledTokens, finishConsents, applyRetention, clock, newRequestId, sleep, onFault } = deps;
  const pool = createRefreshPool({
    ...deps,
    onEnded: () => {
      if (passedOver) woken.abort();
    },
  });
  const clockJump = createClockJump({ wall: deps.identityClock, monotonicMs: deps.monotonicMs });
  const stopping = new AbortController();
  let woken = new AbortController();
  let loop: Promise<void> | undefined;
  let retentionDue = new Date(0);
  let mendDueMs = Number.NEGATIVE_INFINITY;
  let newest: Promise<unknown> = Promise.resolve();
  let stillSpooled = 0;
  let passedOver = false;

  const caller = (): Scheduler => ({ kind: 'scheduler', requestId: newRequestId() });

  /** One after the other, so that whoever waits for a run knows that everything due before it has been dealt with. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = newest.then(work, work);
    newest = run;
    return run;
  }

  function runOnce(): Promise<number> {
    return inTurn(async () => {
      await settleWhatWaits();
      const done = await refreshAll();
      await keepRetention();
      return done;
    });
  }

  async function refreshAll(): Promise<number> {
    let done = 0;
    for (let fresh = 0; ; fresh = 0) {
      for (let goesOn = true; goesOn; ) {
        const { begun, passedOver } = await pool.fill(stopping.signal);
        fresh += begun;
        // What was left because of its OAuth client may have room as soon as some have ended, whoever else hangs.
        goesOn = passedOver && (await pool.someEnded());
      }
      await pool.settled();
      if (fresh === 0) return done;
      done += fresh;
    }
  }

  /** As `runOnce`, without waiting for the refreshes that run. */
  function look(): Promise<Filled> {
    return inTurn(async () => {
      await mendPlans();
      await settleWhatWaits();
      const over = new AbortController();
      void sleep(longestFillMs, AbortSignal.any([stopping.signal, over.signal])).then(() => over.abort());
      const filled = await pool.fill(over.signal);
      over.abort();
      await keepRetention();
      return filled;
    });
  }

  /** At the start, since nobody knows what the clock was before, and now and then, since others have clocks, too. */
  async function mendPlans(): Promise<void> {
    if (deps.monotonicMs() < mendDueMs) return;
    const replanned = await replan(surelyWrongByMs);
    mendDueMs = deps.monotonicMs() + mendEveryMs;
    if (replanned > 0) deps.onClockJump(0, replanned);
  }

  function replan(aheadMs: number): Promise<number> {
    return deps.store.channels.replan(clock.now(), { aheadMs, spreadMs: replanWithinMs });
  }

  /** First of all: a grant is refreshed with its newest token, and its consent finished with what is stored. */
  async function settleWhatWaits(): Promise<void> {
    const spooled = await storeSpooledTokens(caller());
    stillSpooled = spooled.waiting;
    await finishConsents(caller(), spooled.consents).catch(onFault);
  }

  /** One run an hour; where it was full, one with each look, so that refreshes are never far behind. */
  async function keepRetention(): Promise<void> {
    const startedAt = clock.now();
    if (startedAt < retentionDue) return;
    try {
      const { more } = await applyRetention(caller());
      if (!more) retentionDue = new Date(startedAt.getTime() + retentionEveryMs);
    } catch (error) {
      onFault(error);
    }
  }

  async function nap({ lookAgainAt }: Filled): Promise<void> {
    const longest = stillSpooled > 0 ? afterFaultMs : longestSleepMs;
    const untilDue = lookAgainAt ? Math.max(0, lookAgainAt.getTime() - clock.now().getTime()) : longest;
    const signal = AbortSignal.any([stopping.signal, woken.signal]);
    // In stretches: a sleep that was begun before a jump of the clock ends at the wrong time.
    for (let left = Math.min(untilDue, longest); left > 0 && !signal.aborted; left -= stretchMs) {
      await sleep(Math.min(left, stretchMs), signal);
      if (await clockHasJumped()) return;
    }
  }

  /** After a jump the queue is looked at again; what a clock that was ahead has planned is due too late. */
  async function clockHasJumped(): Promise<boolean> {
    const jumpMs = clockJump();
    if (jumpMs === 0) return false;
    const replanned = jumpMs <= -wrongByMs ? await replan(wrongByMs) : 0;
    deps.onClockJump(jumpMs, replanned);
    return true;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = new AbortController();
      passedOver = false;
      try {
        const filled = await look();
        passedOver = filled.passedOver;
        await nap(filled);
      } catch (error) {
        onFault(error);
        await sleep(afterFaultMs, stopping.signal);
      }
    }
    await pool.settled();
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
