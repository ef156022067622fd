/**
 * Refreshes one channel now, once, however many ask: callers in this process share one flight; a claim on the row keeps
 * other brokers away. Whoever finds the row claimed waits for that refresh and takes its result from the cache.
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
const waitForOthersMs = 10_000;
const pollMs = 100;

/** Throws what a reader is to be told; REFRESH_IN_PROGRESS where another broker's refresh takes too long. */
export type RefreshChannel = (caller: Caller, channel: string) => Promise<CachedToken>;

export function createRefreshChannel(deps: {
  store: Store;
  cache: AccessTokenCache;
  clock: Clock;
  runClaim: RunClaim;
  flights: RefreshFlights;
  /** The name of this replica. */
  replica: string;
  pause: (ms: number) => Promise<void>;
}): RefreshChannel {
  const { store, cache, clock, runClaim, flights, replica, pause } = deps;
  /** channel id → why its last refresh failed, and until when nobody asks again */
  const failures = new Map<string, { readonly error: BrokerError; readonly until: number }>();

  return async (caller, channel) => {
    const running = flights.of(channel);
    if (running) return running;
    const failure = failures.get(channel);
    if (failure && clock.now().getTime() < failure.until) throw failure.error;
    return flights.run(channel, () =>
      refresh(caller, channel).catch((error: unknown) => {
        remember(channel, error);
        throw error;
      }),
    );
  };

  function remember(channel: string, error: unknown): void {
    if (!(error instanceof BrokerError) || !error.row.retry) return;
    if (failures.size >= mostRemembered) failures.clear();
    const until = clock.now().getTime() + (error.retryAfter ? error.retryAfter * 1_000 : rememberFailureMs);
    failures.set(channel, { error, until });
  }

  async function refresh(caller: Caller, id: string): Promise<CachedToken> {
    const now = clock.now();
    const lease = { now, until: new Date(now.getTime() + claimMs), owner: replica };
    const claim = await store.channels.claim(id, lease);
    if (!claim) return waitForOthers(id, now);
    return runClaim(caller, claim).catch((error: unknown) => tellEnd(id, error));
  }

  /** Whoever waits for a refresh that was overtaken, by a revocation for example, is told that and not to try again. */
  async function tellEnd(id: string, error: unknown): Promise<never> {
    if (!(error instanceof BrokerError) || error.code !== 'STORE_CONFLICT') throw error;
    const channel = await store.channels.find(id);
    const refusal = channel && releaseRefusal(channel);
    throw refusal ? new BrokerError(refusal, { detail: `state ${channel.state}`, cause: error }) : error;
  }

  async function waitForOthers(id: string, since: Date): Promise<CachedToken> {
    for (let waited = 0; waited < waitForOthersMs; waited += pollMs) {
      await pause(pollMs);
      const channel = await store.channels.find(id);
      if (!channel) throw new BrokerError('CHANNEL_NOT_FOUND');
      const refusal = releaseRefusal(channel);
      if (refusal) throw new BrokerError(refusal, { detail: `state ${channel.state}` });
      const { grant } = channel;
      if (grant?.accessTokenCacheKey && grant.lastRefreshAt && grant.lastRefreshAt >= since) {
        const token = await cache.get(channel.tenant, grant.accessTokenCacheKey);
        if (token) return token;
      }
    }
    throw new BrokerError('REFRESH_IN_PROGRESS', { retryAfter: 5 });
  }
}
