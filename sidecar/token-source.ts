/**
 * Access tokens, in memory only: one entry for each channel that is read.
 *
 * - A token with a comfortable life left is given at once. Below that the broker is asked first, once however many ask;
 *   what is left is given only where nothing fresher can be had, marked stale while the broker fails, and never past
 *   its end.
 * - A token that has been read is replaced ahead of its end in the background; one that nobody reads lapses.
 * - A permanent refusal drops the token. Failures are remembered for a moment, so that a worker that asks in a loop
 *   does not become the broker's load.
 */
import type { BrokerClient, ReleasedToken } from './broker-client.ts';
import { SidecarError, sidecarError } from './errors.ts';
import { type Log, reasonOf } from './log.ts';
import {
  COMFORTABLE_MS,
  concernsWishOnly,
  keyOf,
  REFRESH_AHEAD_MS,
  refreshTime,
  rememberUntil,
  suits,
  type TokenWish,
} from './token-policy.ts';

/** A token just received is the freshest that can be had. */
const JUST_NOW_MS = 2_000;
const RETRY_REFRESH_MS = 10_000;
/** The longest that a timer can count. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A token to give away now. The same object is given as long as nothing changes. */
export interface ServedToken {
  readonly token: ReleasedToken;
  /** The code of the failure that keeps a fresher one away; undefined while all is well. */
  readonly stale: string | undefined;
}

export interface TokenSource {
  /** Answers from memory alone; undefined where the broker has to be asked. */
  held(wish: TokenWish): ServedToken | undefined;
  /**
   * Answers from memory or asks the broker.
   *
   * @throws SidecarError with the broker's code or one of the sidecar's own.
   */
  read(wish: TokenWish): Promise<ServedToken>;
  /** Tells whether `held` would answer a plain wish; counts as no reading. */
  holds(channelId: string): boolean;
  /** Forgets every token. */
  stop(): void;
}

export interface TokenSourceOptions {
  readonly broker: Pick<BrokerClient, 'getAccessToken'>;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

interface Memory {
  readonly error: SidecarError;
  readonly until: number;
}

interface Entry {
  readonly channelId: string;
  served: ServedToken | undefined;
  receivedAt: number;
  refreshAt: number;
  /** Whether anybody has read the present token. */
  wanted: boolean;
  /** Why the last call failed, whatever was wished. */
  failure: Memory | undefined;
  /** Key of a wish -> why it was refused. */
  readonly refusals: Map<string, Memory>;
  flight: Promise<void> | undefined;
  timer: NodeJS.Timeout | undefined;
}

export function createTokenSource({ broker, log, now, random }: TokenSourceOptions): TokenSource {
  const entries = new Map<string, Entry>();

  const held = (wish: TokenWish): ServedToken | undefined => {
    const entry = entries.get(wish.channelId);
    if (!entry?.served || !comfortable(entry, wish)) return undefined;
    entry.wanted = true;
    if (now() >= entry.refreshAt) void fly(entry, anything(entry));
    return entry.served;
  };

  const comfortable = ({ served, receivedAt }: Entry, wish: TokenWish): boolean => {
    const instant = now();
    const floor = instant - receivedAt < JUST_NOW_MS ? 0 : COMFORTABLE_MS;
    return served !== undefined && suits(served.token, wish, floor, instant);
  };

  const holds = (channelId: string): boolean => {
    const entry = entries.get(channelId);
    return entry !== undefined && comfortable(entry, anything(entry));
  };

  const read = async (wish: TokenWish): Promise<ServedToken> => {
    for (let asked = false; ; ) {
      const served = held(wish);
      if (served) return served;
      const entry = entryOf(wish.channelId);
      const known = remembered(entry, wish);
      if (known) return remainder(entry, wish, known);
      if (entry.flight) await entry.flight;
      else if (asked) entry.refusals.set(keyOf(wish), memoryOf(unsatisfied(entry, wish)));
      else {
        asked = true;
        await fly(entry, wish);
      }
    }
  };

  /** What is left of a token, where the broker fails; nothing where it refuses. */
  const remainder = ({ served }: Entry, wish: TokenWish, error: SidecarError): ServedToken => {
    if (served && !error.permanent && suits(served.token, wish, 0, now())) return served;
    throw error;
  };

  const remembered = (entry: Entry, wish: TokenWish): SidecarError | undefined =>
    [entry.failure, entry.refusals.get(keyOf(wish))].find((memory) => memory && now() < memory.until)?.error;

  const memoryOf = (error: SidecarError): Memory => ({ error, until: rememberUntil(error, now()) });

  /** One call to the broker for a channel at a time; never rejects, the entry tells how it ended. */
  const fly = (entry: Entry, wish: TokenWish): Promise<void> => {
    entry.flight ??= ask(entry, wish).finally(() => {
      entry.flight = undefined;
      if (entries.get(entry.channelId) === entry) wakeAt(entry, nextLook(entry));
    });
    return entry.flight;
  };

  const ask = async (entry: Entry, wish: TokenWish): Promise<void> => {
    const minTtlSeconds = Math.max(wish.minTtlSeconds, REFRESH_AHEAD_MS / 1_000);
    try {
      const token = await broker.getAccessToken({ channelId: wish.channelId, minTtlSeconds, scopes: wish.scopes });
      entry.served = { token, stale: undefined };
      entry.receivedAt = now();
      entry.refreshAt = refreshTime(entry.receivedAt, token.expiresAt, random());
      entry.wanted = false;
      entry.failure = undefined;
      log.info({ channel: entry.channelId, expiresAt: new Date(token.expiresAt).toISOString() }, 'new access token');
    } catch (cause) {
      fail(entry, wish, cause instanceof SidecarError ? cause : sidecarError('BROKER_FAILING', { cause }));
    }
  };

  const fail = (entry: Entry, wish: TokenWish, error: SidecarError): void => {
    if (error.code !== entry.failure?.error.code)
      log.warn({ channel: entry.channelId, code: error.code, reason: reasonOf(error) }, 'no access token');
    if (concernsWishOnly(error)) {
      entry.refusals.set(keyOf(wish), memoryOf(error));
      return;
    }
    entry.failure = memoryOf(error);
    entry.refreshAt = now() + RETRY_REFRESH_MS * (1 - 0.5 * random());
    entry.served = entry.served && !error.permanent ? { token: entry.served.token, stale: error.code } : undefined;
  };

  const nextLook = ({ served, refreshAt, failure, refusals }: Entry): number =>
    served ? refreshAt : Math.max(failure?.until ?? 0, ...[...refusals.values()].map(({ until }) => until));

  const wakeAt = (entry: Entry, instant: number): void => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(wake, Math.min(Math.max(instant - now(), 0), LONGEST_TIMER_MS), entry);
  };

  const wake = (entry: Entry): void => {
    if (entry.flight) return;
    const end = entry.served?.token.expiresAt ?? 0;
    if (now() >= end) entries.delete(entry.channelId);
    else if (now() < entry.refreshAt) wakeAt(entry, entry.refreshAt);
    else if (entry.wanted) void fly(entry, anything(entry));
    else wakeAt(entry, end);
  };

  const entryOf = (channelId: string): Entry => {
    const known = entries.get(channelId);
    if (known) return known;
    const entry: Entry = {
      channelId,
      served: undefined,
      receivedAt: 0,
      refreshAt: 0,
      wanted: false,
      failure: undefined,
      refusals: new Map(),
      flight: undefined,
      timer: undefined,
    };
    entries.set(channelId, entry);
    return entry;
  };

  const stop = (): void => {
    for (const { timer } of entries.values()) clearTimeout(timer);
    entries.clear();
  };

  return { held, read, holds, stop };
}

function anything({ channelId }: Entry): TokenWish {
  return { channelId, minTtlSeconds: 0, scopes: [] };
}

function unsatisfied({ served }: Entry, wish: TokenWish): SidecarError {
  const granted = wish.scopes.every((scope) => served?.token.scopes.includes(scope));
  return sidecarError(granted ? 'LIFE_TOO_SHORT' : 'SCOPE_NOT_GRANTED');
}
