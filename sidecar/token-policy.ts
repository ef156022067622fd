/** The numbers and rules of the token source, without state. All instants and durations are in milliseconds. */
import type { ReleasedToken } from './broker-client.ts';
import type { SidecarError } from './errors.ts';

/** What a local request wants. */
export interface TokenWish {
  readonly channelId: string;
  /** The least life that is of use to the caller, in seconds; 0 where he did not say. */
  readonly minTtlSeconds: number;
  /** Each must be granted; none where he did not say. */
  readonly scopes: readonly string[];
}

/** Google's Node client asks again on every request when less than 300 s are left. */
export const COMFORTABLE_MS = 305_000;
/** Below a second `expires_in` would be 0, which Google's clients refuse. */
export const SHORTEST_LIFE_MS = 1_000;

/** A token with less left is replaced ahead of its end; so that much is asked of the broker. */
export const REFRESH_AHEAD_MS = 600_000;
/** A worker's report that YouTube rejected a channel's token is taken so often. */
export const REPORTED_EVERY_MS = 60_000;
const REMEMBER_PERMANENT_MS = 15_000;
const REMEMBER_PASSING_MS = 1_000;
const REMEMBER_AT_MOST_MS = 30_000;

/** Refusals of one wish; the channel itself is well. */
const refusesWishOnly: ReadonlySet<string> = new Set(['SCOPE_NOT_GRANTED', 'INVALID_REQUEST', 'LIFE_TOO_SHORT']);

/** Tells whether the token does for the wish, with at least `floor` of life left. */
export function suits(token: ReleasedToken, wish: TokenWish, floor: number, now: number): boolean {
  const left = token.expiresAt - now;
  if (left < SHORTEST_LIFE_MS || left < floor || left < wish.minTtlSeconds * 1_000) return false;
  for (const scope of wish.scopes) if (!token.scopes.includes(scope)) return false;
  return true;
}

/**
 * When to replace a token ahead of its end: 10 minutes or a sixth of its life before, whichever is more, and up to a
 * tenth earlier by chance. One that is shorter than that at its coming gets half of its life.
 */
export function refreshTime(receivedAt: number, expiresAt: number, random: number): number {
  const life = expiresAt - receivedAt;
  const ahead = Math.max(REFRESH_AHEAD_MS, life / 6);
  return receivedAt + Math.max(life - ahead, life / 2) * (1 - 0.1 * random);
}

/** Until when a failure is answered from memory: the broker's own word where it gave one, but not for long. */
export function rememberUntil(error: SidecarError, now: number): number {
  const asked = error.retryAfter === undefined ? 0 : error.retryAfter * 1_000;
  const least = error.permanent ? REMEMBER_PERMANENT_MS : REMEMBER_PASSING_MS;
  return now + Math.min(Math.max(asked, least), REMEMBER_AT_MOST_MS);
}

/** Tells a refusal of this wish from one of the channel. */
export function concernsWishOnly(error: SidecarError): boolean {
  return refusesWishOnly.has(error.code);
}

/** The same for wishes that are the same. */
export function keyOf({ minTtlSeconds, scopes }: TokenWish): string {
  return `${minTtlSeconds} ${[...scopes].sort().join(' ')}`;
}
