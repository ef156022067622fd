/** Retries of our own calls to Vault and PostgreSQL where a moment's pause can save what cannot be had again. */
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import { BrokerError } from './errors.ts';

const policy = retry(
  handleWhen((error) => error instanceof BrokerError && error.row.retry && error.code !== 'STORE_CONFLICT'),
  { maxAttempts: 4, backoff: new ExponentialBackoff({ initialDelay: 100, maxDelay: 1_500 }) },
);

/**
 * Tries up to five times over about three seconds while the failure is one that can pass (see the error table). For
 * the few steps after which a refresh token would be lost; everything else is retried by its caller's schedule.
 */
export function persist<T>(step: () => Promise<T>): Promise<T> {
  return policy.execute(step);
}
