/**
 * Access tokens, in memory only: one entry for each channel that is read.
 *
 * - A token with a comfortable life left is given at once. Below that the broker is asked first, once however many ask;
 *   what is left is given only where nothing fresher can be had, marked stale while the broker fails, and never past
 *   its end.
 * - A token that has been read is replaced ahead of its end in the background; one that nobody reads lapses.
 * - What the broker tells of a channel takes effect at once: a token that may not be used any more is dropped, also one
 *   that is on its way, and readers hear why until the broker says otherwise.
 * - Where nothing is told for too long, a token is checked with the broker at short intervals. While the broker is away
 *   it is served all the same.
 * - A permanent refusal drops the token. Failures are remembered for a moment, so that a worker that asks in a loop
 *   does not become the broker's load.
 */
import type { ChannelStatus } from '../proto/load.ts';
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
  /** Takes what the broker tells of channels into effect. */
  hear(statuses: readonly ChannelStatus[]): void;
  /** Tells whether a token is there that does for a plain wish; counts as no reading. */
  holds(channelId: string): boolean;
  /** Takes nothing for known any more: the clock has jumped. Each token is checked with the broker before it is given. */
  doubt(): void;
  /** Channel -> end of the token that is held, in milliseconds since 1970. */
  ends(): readonly (readonly [channelId: string, expiresAt: number])[];
  /** Drops the tokens of these channels, or all; each is fetched anew when it is read. Answers how many there were. */
  drop(channelIds?: readonly string[]): number;
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
  /** A channel of which nothing was told for so long is checked with the broker, in milliseconds. */
  readonly patienceMs: number;
  /** How often. */
  readonly recheckMs: number;
  /** Told the channels of which there is something to hear, whenever they are others. */
  readonly onChannels?: (channels: readonly string[]) => void;
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
  /** When the broker last told something of it, and when it was last asked; 0 for never. */
  heardAt: number;
  askedAt: number;
  recheckAt: number;
  /** As the broker told: tokens of an older one are void. */
  generation: number;
  /** Whether the broker has told that no token may be used, and how often it has turned to that. */
  withdrawn: boolean;
  withdrawals: number;
  timer: NodeJS.Timeout | undefined;
}

export function createTokenSource(options: TokenSourceOptions): TokenSource {
  const { broker, log, now, random, patienceMs, recheckMs, onChannels = () => {} } = options;
  const entries = new Map<string, Entry>();

  const held = (wish: TokenWish): ServedToken | undefined => {
    const entry = entries.get(wish.channelId);
    if (!entry?.served || !known(entry) || !comfortable(entry, wish)) return undefined;
    entry.wanted = true;
    if (now() >= dueAt(entry)) void fly(entry, anything(entry));
    return entry.served;
  };

  /** Whether the broker has told of the channel, or was asked for it, lately. */
  const known = ({ heardAt, askedAt }: Entry): boolean =>
    now() <= Math.max(heardAt + patienceMs, askedAt + 2 * recheckMs);

  /** When to ask the broker again: ahead of the token's end, and before where the channel is not heard of. */
  const dueAt = ({ refreshAt, recheckAt, heardAt }: Entry): number =>
    Math.min(refreshAt, Math.max(recheckAt, heardAt + patienceMs));

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
      const failure = remembered(entry, wish);
      if (failure) return remainder(entry, wish, failure);
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
      if (entries.get(entry.channelId) !== entry) return;
      wakeAt(entry, nextLook(entry));
      tellChannels();
    });
    return entry.flight;
  };

  const ask = async (entry: Entry, wish: TokenWish): Promise<void> => {
    const minTtlSeconds = Math.max(wish.minTtlSeconds, REFRESH_AHEAD_MS / 1_000);
    entry.askedAt = now();
    entry.recheckAt = entry.askedAt + recheckMs * (0.8 + 0.2 * random());
    try {
      const token = await release(entry, { channelId: wish.channelId, minTtlSeconds, scopes: wish.scopes });
      if (!token) return;
      const isNew = token.accessToken !== entry.served?.token.accessToken;
      entry.served = { token, stale: undefined };
      entry.receivedAt = now();
      entry.refreshAt = refreshTime(entry.receivedAt, token.expiresAt, random());
      entry.wanted = false;
      entry.failure = undefined;
      if (isNew) {
        const expiresAt = new Date(token.expiresAt).toISOString();
        log.info({ channel: entry.channelId, expiresAt }, 'new access token');
      }
    } catch (cause) {
      fail(entry, wish, cause instanceof SidecarError ? cause : sidecarError('BROKER_FAILING', { cause }));
    }
  };

  /** Asks, and asks once more where what came was released before something that the broker has told since. */
  const release = async (
    entry: Entry,
    request: Parameters<typeof broker.getAccessToken>[0],
  ): Promise<ReleasedToken | undefined> => {
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      const { withdrawals } = entry;
      const token = await broker.getAccessToken(request);
      if (entry.withdrawn) return undefined;
      if (entry.withdrawals === withdrawals && (token.generation === 0 || token.generation >= entry.generation))
        return token;
    }
    throw sidecarError('BROKER_FAILING');
  };

  const hear = (statuses: readonly ChannelStatus[]): void => {
    for (const status of statuses) {
      if (status.availability === 'AVAILABLE') hearAvailable(status);
      else withdraw(status);
    }
    tellChannels();
  };

  const hearAvailable = ({ channelId, generation }: ChannelStatus): void => {
    const entry = entries.get(channelId);
    if (!entry) return;
    entry.heardAt = now();
    entry.generation = generation;
    const isOld = entry.served !== undefined && entry.served.token.generation < generation;
    if (!isOld && !entry.withdrawn) return;
    log.info({ channel: channelId, generation }, 'the channel has a newer grant, or is available again');
    entry.served = undefined;
    entry.withdrawn = false;
    entry.failure = undefined;
    entry.refusals.clear();
    if (entry.wanted) void fly(entry, anything(entry));
  };

  const withdraw = (status: ChannelStatus): void => {
    const { channelId, code, generation } = status;
    const entry = entryOf(channelId);
    entry.heardAt = now();
    entry.generation = generation;
    if (!entry.withdrawn || entry.failure?.error.code !== code)
      log.warn({ channel: channelId, code }, 'the broker has withdrawn the channel');
    if (!entry.withdrawn) entry.withdrawals += 1;
    entry.withdrawn = true;
    entry.served = undefined;
    // Told again and again while it holds; where nothing is told any more, the broker is asked.
    entry.failure = { error: withdrawnError(status), until: now() + patienceMs };
    if (!entry.flight) wakeAt(entry, entry.failure.until);
  };

  const tellChannels = (): void => {
    const worthIt = [...entries.values()].filter(({ served, withdrawn }) => served !== undefined || withdrawn);
    onChannels(worthIt.map(({ channelId }) => channelId));
  };

  const fail = (entry: Entry, wish: TokenWish, error: SidecarError): void => {
    if (error.code !== entry.failure?.error.code)
      log.warn({ channel: entry.channelId, code: error.code, reason: reasonOf(error) }, 'no access token');
    if (concernsWishOnly(error)) {
      entry.refusals.set(keyOf(wish), memoryOf(error));
      return;
    }
    if (entry.withdrawn) return;
    entry.failure = memoryOf(error);
    entry.refreshAt = now() + RETRY_REFRESH_MS * (1 - 0.5 * random());
    entry.served = entry.served && !error.permanent ? { token: entry.served.token, stale: error.code } : undefined;
  };

  const nextLook = (entry: Entry): number => {
    const { served, failure, refusals } = entry;
    return served ? dueAt(entry) : Math.max(failure?.until ?? 0, ...[...refusals.values()].map(({ until }) => until));
  };

  const wakeAt = (entry: Entry, instant: number): void => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(wake, Math.min(Math.max(instant - now(), 0), LONGEST_TIMER_MS), entry);
  };

  const wake = (entry: Entry): void => {
    if (entry.flight) return;
    const end = entry.served?.token.expiresAt ?? 0;
    if (now() >= end) {
      entries.delete(entry.channelId);
      tellChannels();
    } else if (now() < dueAt(entry)) wakeAt(entry, dueAt(entry));
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
      heardAt: 0,
      askedAt: 0,
      recheckAt: 0,
      generation: 0,
      withdrawn: false,
      withdrawals: 0,
      timer: undefined,
    };
    entries.set(channelId, entry);
    return entry;
  };

  const doubt = (): void => {
    for (const entry of entries.values()) {
      Object.assign(entry, { heardAt: 0, askedAt: 0, recheckAt: 0, receivedAt: 0 });
      entry.refusals.clear();
      if (!entry.withdrawn) entry.failure = undefined;
      if (!entry.flight) wakeAt(entry, nextLook(entry));
    }
  };

  const ends = () =>
    [...entries.values()].flatMap(({ channelId, served }) =>
      served ? [[channelId, served.token.expiresAt] as const] : [],
    );

  const drop = (channelIds: readonly string[] = [...entries.keys()]): number => {
    let dropped = 0;
    for (const channelId of channelIds) {
      const entry = entries.get(channelId);
      if (!entry) continue;
      // A token that is on its way was asked for before.
      entry.withdrawals += 1;
      if (!entry.served) continue;
      dropped += 1;
      entry.served = undefined;
      entry.failure = undefined;
      entry.refusals.clear();
    }
    tellChannels();
    return dropped;
  };

  const stop = (): void => {
    for (const { timer } of entries.values()) clearTimeout(timer);
    entries.clear();
  };

  return { held, read, hear, holds, doubt, ends, drop, stop };
}

function withdrawnError({ code, message }: ChannelStatus): SidecarError {
  return new SidecarError({ code, http: 403, sentence: message, next: undefined, retryAfter: undefined });
}

function anything({ channelId }: Entry): TokenWish {
  return { channelId, minTtlSeconds: 0, scopes: [] };
}

function unsatisfied({ served }: Entry, wish: TokenWish): SidecarError {
  const granted = wish.scopes.every((scope) => served?.token.scopes.includes(scope));
  return sidecarError(granted ? 'LIFE_TOO_SHORT' : 'SCOPE_NOT_GRANTED');
}
