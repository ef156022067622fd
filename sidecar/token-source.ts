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
 * - A token that a worker reports as rejected by YouTube is dropped, and the broker is asked for another one, now and
 *   then. While the broker is away it is served all the same: a worker may be wrong, and there is no better one.
 * - A permanent refusal drops the token. Failures are remembered for a moment, so that a worker that asks in a loop
 *   does not become the broker's load.
 */
import { hash } from 'node:crypto';
import type { ChannelStatus } from '../proto/load.ts';
import type { BrokerClient, ReleasedToken } from './broker-client.ts';
import { SidecarError, sidecarError } from './errors.ts';
import { type Log, reasonOf } from './log.ts';
import {
  COMFORTABLE_MS,
  concernsWishOnly,
  keyOf,
  REFRESH_AHEAD_MS,
  REPORTED_EVERY_MS,
  refreshTime,
  rememberUntil,
  suits,
  type TokenWish,
} from './token-policy.ts';

/** A token just received is the freshest that can be had. */
const JUST_NOW_MS = 2_000;
const RETRY_REFRESH_MS = 10_000;
/** Channels that are kept come one after the other, at first and after a failure. */
const KEPT_SPREAD_MS = 5;
const KEPT_RETRY_MS = 2_000;
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
  /**
   * Takes a report that YouTube rejected the token with this SHA-256. Resolves to whether another one is there now;
   * `unknown` where it is not the token that is held.
   *
   * @throws SidecarError REPORTED_TOO_OFTEN, or why the broker gives no other.
   */
  reject(channelId: string, sha256: string): Promise<'replaced' | 'kept' | 'unknown'>;
  /** Fetches the tokens of these channels, and keeps them fresh from now on, whether or not anybody reads them. */
  keep(channels: readonly string[]): void;
  /** Lists the channels of which something is known, without counting as a reading. */
  list(): readonly HeldChannel[];
  /** Tells whether a token is there that does for a plain wish; counts as no reading. */
  holds(channelId: string): boolean;
  /** Takes nothing for known any more: the clock has jumped. Each token is checked with the broker before it is given. */
  doubt(): void;
  /** Drops the tokens of these channels, or all; each is fetched anew when it is read. Answers how many there were. */
  drop(channelIds?: readonly string[]): number;
  /** Forgets every token. */
  stop(): void;
}

/** What is known of a channel. */
export interface HeldChannel {
  readonly channelId: string;
  readonly served: ServedToken | undefined;
  /** Code of the last failure, while it is remembered. */
  readonly problem: string | undefined;
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

/** A token that was reported, and what to tell the broker of it. */
interface Rejected {
  readonly sha256: string;
  readonly served: ServedToken;
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
  /** Whether it is kept fresh also where nobody reads it. */
  kept: boolean;
  /** When a report about its token is taken again. */
  reportableAt: number;
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
  const fly = (entry: Entry, wish: TokenWish, rejected?: Rejected): Promise<void> => {
    entry.flight ??= ask(entry, wish, rejected).finally(() => {
      entry.flight = undefined;
      if (entries.get(entry.channelId) !== entry) return;
      wakeAt(entry, nextLook(entry));
      tellChannels();
    });
    return entry.flight;
  };

  const ask = async (entry: Entry, wish: TokenWish, rejected?: Rejected): Promise<void> => {
    const minTtlSeconds = Math.max(wish.minTtlSeconds, REFRESH_AHEAD_MS / 1_000);
    entry.askedAt = now();
    entry.recheckAt = entry.askedAt + recheckMs * (0.8 + 0.2 * random());
    try {
      const { channelId, scopes } = wish;
      const rejectedTokenSha256 = rejected?.sha256 ?? '';
      const token = await release(entry, { channelId, minTtlSeconds, scopes, rejectedTokenSha256 });
      if (!token) return;
      const isNew = token.accessToken !== entry.served?.token.accessToken;
      entry.served = { token, stale: undefined };
      entry.receivedAt = now();
      entry.refreshAt = refreshTime(entry.receivedAt, token.expiresAt, random());
      entry.wanted = entry.kept;
      entry.failure = undefined;
      if (isNew) {
        const expiresAt = new Date(token.expiresAt).toISOString();
        log.info({ channel: entry.channelId, expiresAt }, 'new access token');
      }
    } catch (cause) {
      if (rejected && !entry.withdrawn) entry.served ??= rejected.served;
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

  const reject = async (channelId: string, sha256: string): Promise<'replaced' | 'kept' | 'unknown'> => {
    // What is on its way was asked for before the report.
    for (let flight = entries.get(channelId)?.flight; flight; flight = entries.get(channelId)?.flight) await flight;
    const entry = entries.get(channelId);
    const served = entry?.served;
    if (!entry || !served || hash('sha256', served.token.accessToken, 'hex') !== sha256) return 'unknown';
    const failure = remembered(entry, anything(entry));
    if (failure) throw failure;
    const waitMs = entry.reportableAt - now();
    if (waitMs > 0) throw sidecarError('REPORTED_TOO_OFTEN', { retryAfter: Math.ceil(waitMs / 1_000) });
    entry.reportableAt = now() + REPORTED_EVERY_MS;
    entry.served = undefined;
    await fly(entry, anything(entry), { sha256, served });
    if (entry.failure) {
      entry.reportableAt = 0;
      throw entry.failure.error;
    }
    const isSame = entries.get(channelId)?.served?.token.accessToken === served.token.accessToken;
    return isSame ? 'kept' : 'replaced';
  };

  const keep = (channels: readonly string[]): void => {
    for (const channelId of channels) {
      const entry = entryOf(channelId);
      entry.kept = true;
      entry.wanted = true;
      // Spread, so that a sidecar with many channels is no burst for the broker.
      wakeAt(entry, now() + Math.min(channels.length * KEPT_SPREAD_MS, KEPT_RETRY_MS) * random());
    }
  };

  const list = (): readonly HeldChannel[] =>
    [...entries.values()].map(({ channelId, served, failure }) => {
      const problem = failure && now() < failure.until ? failure.error.code : undefined;
      return { channelId, served: served && now() < served.token.expiresAt ? served : undefined, problem };
    });

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
    // All that are kept failed at the same moment, where the broker went away.
    if (!served && entry.kept) return Math.max(failure?.until ?? 0, now()) + KEPT_RETRY_MS * random();
    return served ? dueAt(entry) : Math.max(failure?.until ?? 0, ...[...refusals.values()].map(({ until }) => until));
  };

  const wakeAt = (entry: Entry, instant: number): void => {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(wake, Math.min(Math.max(instant - now(), 0), LONGEST_TIMER_MS), entry);
  };

  const wake = (entry: Entry): void => {
    if (entry.flight) return;
    const end = entry.served?.token.expiresAt ?? 0;
    if (now() >= end && entry.kept) void fly(entry, anything(entry));
    else if (now() >= end) {
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
      kept: false,
      reportableAt: 0,
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
      if (entry.kept) void fly(entry, anything(entry));
    }
    tellChannels();
    return dropped;
  };

  const stop = (): void => {
    for (const { timer } of entries.values()) clearTimeout(timer);
    entries.clear();
  };

  return { held, read, hear, reject, keep, list, holds, doubt, drop, stop };
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
