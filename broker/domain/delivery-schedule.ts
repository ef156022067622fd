/** When a notification that was not taken is tried again. */

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** After the first try, the second …: those that the Standard Webhooks specification recommends; then every day. */
const pauses = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
] as const;
const longestPause = 24 * hour;

export interface FailedTry {
  /** Tries until now, with this one. */
  readonly attempts: number;
  readonly firstAttemptAt: Date;
  readonly now: Date;
  /** What the receiver asked for, in seconds. */
  readonly retryAfter: number | undefined;
  /** How long it is tried at all, in milliseconds. */
  readonly retryForMs: number;
  /** From 0 to 1; spreads those that failed together. */
  readonly randomFraction: number;
}

/** Answers when to try again; undefined where it has been tried long enough. */
export function nextTry(failed: FailedTry): Date | undefined {
  const pause = pauses[failed.attempts - 1] ?? longestPause;
  const asked = Math.min((failed.retryAfter ?? 0) * second, longestPause);
  const next = failed.now.getTime() + Math.max(pause, asked) * (1 + failed.randomFraction / 10);
  return next <= failed.firstAttemptAt.getTime() + failed.retryForMs ? new Date(Math.round(next)) : undefined;
}
