/**
 * Retries of our own calls to Vault and PostgreSQL: to save what cannot be had again, and to wait for them at start; and
 * what keeps one OAuth client's trouble away from the others.
 */
import {
  bulkhead,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  retry,
} from 'cockatiel';
import { BrokerError } from './errors.ts';

const passing = handleWhen(
  (error) => error instanceof BrokerError && error.row.retry && error.code !== 'STORE_CONFLICT',
);
const saving = retry(passing, {
  maxAttempts: 4,
  backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 1_500 }),
});

/**
 * Tries up to five times over about three seconds while the failure is one that can pass (see the error table). For
 * the few steps after which a refresh token would be lost; everything else is retried by its caller's schedule.
 */
export function persist<T>(step: () => Promise<T>): Promise<T> {
  return saving.execute(step);
}

/**
 * Waits, at start, for what is not there yet: tries again and again, at most five seconds apart, while the failure is
 * one that can pass. Throws any other failure at once, and the last one when the signal fires.
 */
export function whenAvailable<T>(
  step: () => Promise<T>,
  signal: AbortSignal,
  onWait: (error: unknown) => void,
): Promise<T> {
  const waiting = retry(passing, {
    maxAttempts: Number.POSITIVE_INFINITY,
    backoff: new ExponentialBackoff({ initialDelay: 200, maxDelay: 5_000 }),
  });
  waiting.onFailure(({ handled, reason }) => {
    if (handled && 'error' in reason) onWait(reason.error);
  });
  return waiting.execute(step, signal);
}

/** One of many that are asked on their own account: how many questions to it run, and whether it is worth asking. */
export interface Bulwark {
  /** `open`: nobody asks it until then; `probing`: one asks whether it is well again. */
  standing(
    now: Date,
  ): { readonly state: 'free' | 'full' | 'probing' } | { readonly state: 'open'; readonly until: Date };
  /**
   * Holds a slot while `work` runs; `ask`, inside it, tells the breaker how a question ended. Waits for a slot as long as
   * `patience` does, and answers undefined where none became free: then `work` was not begun.
   */
  enter<T>(
    work: (ask: Ask) => Promise<T>,
    patience: (signal: AbortSignal) => Promise<void>,
  ): Promise<{ readonly done: T } | undefined>;
}

type Ask = <T>(question: () => Promise<T>) => Promise<T>;

/**
 * A bulkhead and a breaker: at most `slots` at the same time, and after `failures` in a row nobody for a while, at first
 * `firstOpenMs`, then longer and longer, at a random instant of the span. Then one probes. The time is an argument: the
 * library's own is not used.
 */
export function createBulwark(options: {
  readonly slots: number;
  readonly failures: number;
  readonly firstOpenMs: number;
  readonly longestOpenMs: number;
  readonly isOutage: (error: unknown) => boolean;
  readonly now: () => Date;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  readonly onBreaker: (isOpen: boolean) => void;
}): Bulwark {
  const { failures, firstOpenMs, longestOpenMs, now } = options;
  const slots = bulkhead(options.slots, Number.POSITIVE_INFINITY);
  const breaker = circuitBreaker(handleWhen(options.isOutage), {
    // The library measures by the wall clock, which may be set back: `standing` says when to ask again, and nobody else.
    halfOpenAfter: Number.NEGATIVE_INFINITY,
    breaker: new ConsecutiveBreaker(failures),
  });
  let breaks = 0;
  let until = new Date(0);
  breaker.onBreak(() => {
    const span = Math.min(longestOpenMs, firstOpenMs * 2 ** breaks);
    breaks += 1;
    until = new Date(now().getTime() + span / 2 + (options.randomFraction() * span) / 2);
    options.onBreaker(true);
  });
  breaker.onReset(() => {
    breaks = 0;
    options.onBreaker(false);
  });

  return {
    standing(at) {
      if (breaker.state === CircuitState.HalfOpen) return { state: 'probing' };
      if (breaker.state === CircuitState.Open && at < until) return { state: 'open', until };
      return { state: slots.executionSlots > 0 ? 'free' : 'full' };
    },
    async enter(work, patience) {
      let begun = false;
      const waiting = new AbortController();
      const begin = () => {
        begun = true;
        waiting.abort();
        return work((question) => breaker.execute(question));
      };
      const leaving = new AbortController();
      const working = slots.execute(begin, leaving.signal);
      // Where a slot is free, it has begun by now.
      if (!begun) await patience(waiting.signal);
      if (begun) return { done: await working };
      leaving.abort();
      working.catch(() => undefined);
      return undefined;
    },
  };
}
