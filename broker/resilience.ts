/** Retries of our own calls to Vault and PostgreSQL: to save what cannot be had again, and to wait for them at start. */
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
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
