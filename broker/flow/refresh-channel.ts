/**
 * Refreshes one channel now, once, however many ask: callers in this process share one flight, with the scheduler, too; a
 * claim on the row keeps other brokers away. Whoever finds the row claimed waits for that refresh and takes its result
 * from the cache. Each caller waits as long as it may; the refresh goes on without it.
 *
 * A failure that can pass is remembered for some seconds, or for as long as `Retry-After` said: a worker that asks in a
 * loop hears it again, and Google is left in peace.
 */
import type { Caller } from '../domain/caller.ts';
import { releaseRefusal } from '../domain/channel.ts';
import { BrokerError } from '../errors.ts';
import type { AccessTokenCache, CachedToken, Clock, Store } from '../ports.ts';
import type { RefreshFlights } from './refresh-flights.ts';
import type { RunClaim } from './run-claim.ts';

/** Longer than the longest refresh: every request to Google, Vault and PostgreSQL in it has a shorter deadline. */
export const claimMs = 60_000;

const rememberFailureMs = 5_000;
const mostRemembered = 10_000;
/** The end of another broker's refresh is told by the outbox; where that is silent, one looks. */
const lookEveryMs = 1_000;
const mostLooks = claimMs / lookEveryMs;
/** As long as a row is locked by a transaction that is about something else, or a little longer. */
const lockedMs = 50;

export interface RefreshChannel {
  /**
   * Throws what a reader is to be told; REFRESH_IN_PROGRESS where the refresh takes longer than the caller waits.
   *
   * @param patience ends the waiting, not the refresh
   */
  refresh(caller: Caller, channel: string, patience: AbortSignal): Promise<CachedToken>;
  /** Has those who wait for another broker's refresh look again; for all channels where none is named. */
  changed(channel?: string): void;
}

export function createRefreshChannel(deps: {
  store: Store;
  cache: AccessTokenCache;
  clock: Clock;
  runClaim: RunClaim;
  flights: RefreshFlights;
  /** The name of this replica. */
  replica: string;
  /** Waits; ends early when the signal fires. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}): RefreshChannel {
  const { store, cache, clock, runClaim, flights, replica, sleep } = deps;

  /** channel id → why its last refresh failed, and until when nobody asks again */
  const failures = new Map<string, { readonly error: BrokerError; readonly until: number }>();
  /** channel id → ends the wait for another broker's refresh */
  const waits = new Map<string, AbortController>();

  /** The flight that there is, and once more where that one was overtaken: it was the scheduler's, or began long ago. */
  async function tokenOf(caller: Caller, channel: string): Promise<CachedToken> {
    const running = flights.of(channel);
    if (!running) return ownFlight(caller, channel);
    try {
      return await running;
    } catch (error) {
      if (!wasOvertaken(error)) throw error;
      return flights.of(channel) ?? ownFlight(caller, channel);
    }
  }

  function ownFlight(caller: Caller, channel: string): Promise<CachedToken> {
    const failure = failures.get(channel);
    if (failure && clock.now().getTime() < failure.until) throw failure.error;
    return flights.run(channel, () =>
      refresh(caller, channel).catch((error: unknown) => {
        remember(channel, error);
        throw error;
      }),
    );
  }

  function remember(channel: string, error: unknown): void {
    if (!(error instanceof BrokerError) || !error.row.retry) return;
    if (failures.size >= mostRemembered) failures.clear();
    const until = clock.now().getTime() + (error.retryAfter ? error.retryAfter * 1_000 : rememberFailureMs);
    failures.set(channel, { error, until });
  }

  async function refresh(caller: Caller, id: string): Promise<CachedToken> {
    const since = clock.now();
    for (let looks = 0; looks < mostLooks; looks += 1) {
      const now = clock.now();
      const claim = await store.channels.claim(id, {
        now,
        until: new Date(now.getTime() + claimMs),
        owner: replica,
      });
      if (claim) {
        try {
          return await runClaim(caller, claim);
        } catch (error) {
          // By a new consent or another broker, or this process stood still for longer than its claim: seen below.
          if (!wasOvertaken(error)) throw error;
        }
      } else await otherRefresh(id, now);
      const token = await resultOfOther(id, since);
      if (token) return token;
    }
    throw inProgress();
  }

  /** Waits until another broker's refresh ends, or for a while; for a moment where nobody refreshes and the row was locked. */
  async function otherRefresh(id: string, now: Date): Promise<void> {
    const wait = new AbortController();
    // Before the row says that somebody waits: the end may be told at once.
    waits.set(id, wait);
    try {
      const runs = await store.channels.awaitRefresh(id, now);
      await sleep(runs ? lookEveryMs : lockedMs, wait.signal);
    } finally {
      if (waits.get(id) === wait) waits.delete(id);
    }
  }

  /** Throws where the channel has ended meanwhile; undefined where it is to be refreshed still. */
  async function resultOfOther(id: string, since: Date): Promise<CachedToken | undefined> {
    const channel = await store.channels.find(id);
    if (!channel) throw new BrokerError('CHANNEL_NOT_FOUND');
    const refusal = releaseRefusal(channel);
    if (refusal) throw new BrokerError(refusal, { detail: `state ${channel.state}` });
    const { grant } = channel;
    if (!grant?.accessTokenCacheKey || !grant.lastRefreshAt || grant.lastRefreshAt < since) return undefined;
    return cache.get(channel.tenant, grant.accessTokenCacheKey);
  }

  return {
    async refresh(caller, channel, patience) {
      const flight = tokenOf(caller, channel);
      // Whoever stops waiting does not hear how it ends.
      flight.catch(() => undefined);
      return Promise.race([flight, ended(patience)]);
    },
    changed(channel) {
      for (const wait of channel === undefined ? waits.values() : [waits.get(channel)]) wait?.abort();
    },
  };
}

function wasOvertaken(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'STORE_CONFLICT';
}

function ended(patience: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (patience.aborted) reject(inProgress());
    else patience.addEventListener('abort', () => reject(inProgress()), { once: true });
  });
}

function inProgress(): BrokerError {
  return new BrokerError('REFRESH_IN_PROGRESS', { retryAfter: 5 });
}
