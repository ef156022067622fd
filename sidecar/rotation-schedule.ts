/** When the certificate is replaced, and when that is tried again. Pure: time and chance are arguments. */

const FIRST_RETRY_MS = 1_000;

/** When to rotate a certificate received at `from`: after half of its life, give or take a tenth of that. */
export function rotationTime(from: number, notAfter: number, random: number): number {
  const half = (notAfter - from) / 2;
  return Math.round(from + half * (0.9 + 0.2 * random));
}

/**
 * How long to wait after so many failures in a row, in milliseconds: doubling from a second to `longest`, of which half
 * is chance. While a certificate is in force, never more than a quarter of what is left of it.
 *
 * @param after.left What is left of the certificate in force; zero or less where there is none.
 */
export function retryDelay(after: {
  readonly failures: number;
  readonly random: number;
  readonly left: number;
  readonly longest: number;
}): number {
  const quarter = after.left > 0 ? Math.max(after.left / 4, FIRST_RETRY_MS) : after.longest;
  const most = Math.min(FIRST_RETRY_MS * 2 ** (after.failures - 1), after.longest, quarter);
  return most * (0.5 + 0.5 * after.random);
}
