/**
 * When a token is refreshed: well before its end, at an instant that depends on the channel and not on when the broker
 * was started, so that neither a restart nor a mass consent makes a storm; after failures, later and later.
 */
import { createHash } from 'node:crypto';

/** A token is refreshed between these parts of its life. A 25-minute outage of Google then costs no token. */
const earliest = 0.45;
const latest = 0.58;

const dayMs = 24 * 3_600_000;
/** A proof so short before the next one would tell nothing new. */
const leastBetweenProofsMs = 3_600_000;
/** An authorization server with very short lives is not asked in a loop. */
const soonestMs = 5_000;

const firstBackoffMs = 5_000;
const longestBackoffMs = 15 * 60_000;
/** More than that, `Retry-After` does not mean. */
const longestAskedMs = dayMs;

/** The instant at which a token that lives from `refreshedAt` to `expiresAt` is due. */
export function refreshDueAt(channel: string, refreshedAt: Date, expiresAt: Date): Date {
  const life = Math.max(0, expiresAt.getTime() - refreshedAt.getTime());
  const part = earliest + (latest - earliest) * spread(channel);
  return new Date(refreshedAt.getTime() + Math.max(soonestMs, life * part));
}

/**
 * When the grant is to be proven next: once a day, at the channel's own time of the day, at least an hour from now. Like
 * the due time it depends on the channel alone, so that the proofs of many are spread over the day, also after an outage.
 */
export function proofDueAt(channel: string, now: Date): Date {
  const earliestMs = now.getTime() + leastBetweenProofsMs;
  const timeOfDay = Math.floor(spread(channel) * dayMs);
  const midnight = Math.floor(earliestMs / dayMs) * dayMs;
  const today = midnight + timeOfDay;
  return new Date(today >= earliestMs ? today : today + dayMs);
}

/** Whether a channel was used lately enough that its token is refreshed ahead of time. */
export function isInUse(lastUsedAt: Date | undefined, now: Date, activeWindowMs: number): boolean {
  return lastUsedAt !== undefined && now.getTime() - lastUsedAt.getTime() <= activeWindowMs;
}

/**
 * The instant of the next try after a failure: full jitter over an exponentially growing span (5 s, 10 s, … 15 min),
 * never before what `Retry-After` asked for, up to a day. While the token lives, half of what is left of it at the latest, so that an
 * outage that ends before the token does costs it not.
 *
 * @param failures failures in a row, this one included
 * @param retryAfter seconds, from the answer
 * @param random from 0 to 1
 * @param tokenExpiresAt of the token that was to be replaced, where there is one
 */
export function retryAt(
  now: Date,
  failures: number,
  retryAfter: number | undefined,
  random: number,
  tokenExpiresAt?: Date,
): Date {
  const span = Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 20));
  const jittered = firstBackoffMs + random * Math.max(0, span - firstBackoffMs);
  const leftMs = tokenExpiresAt ? tokenExpiresAt.getTime() - now.getTime() : 0;
  const inTime = leftMs > 0 ? Math.max(firstBackoffMs, leftMs / 2) : longestBackoffMs;
  const askedMs = Math.min(longestAskedMs, (retryAfter ?? 0) * 1_000);
  return new Date(now.getTime() + Math.max(Math.min(jittered, inTime), askedMs));
}

/**
 * Tells whether a token can be handed out without a refresh: it lives at least `minTtlSeconds` more, or half of its
 * whole life where that is less, so that no caller can ask for more life than a new token has and refresh for ever.
 */
export function isFreshEnough(
  token: { expiresAt: Date; refreshedAt: Date },
  now: Date,
  minTtlSeconds: number,
): boolean {
  const left = token.expiresAt.getTime() - now.getTime();
  const life = token.expiresAt.getTime() - token.refreshedAt.getTime();
  return left > 0 && left >= Math.min(minTtlSeconds * 1000, life / 2);
}

/** Spreads channels evenly over 0 to 1. */
function spread(channel: string): number {
  return createHash('sha256').update(channel).digest().readUInt32BE() / 2 ** 32;
}
