/**
 * Refreshes what is due, so many at the same time: a place that becomes free is given to the next due channel, whatever
 * the others are waiting for. One that hangs holds its own place and nothing else.
 */
import type { Scheduler } from '../domain/caller.ts';
import { asBrokerError } from '../errors.ts';
import type { Admission, Clock, QueuePart, RefreshClaim, Store } from '../ports.ts';
import { claimMs } from './refresh-channel.ts';
import type { RefreshFlights } from './refresh-flights.ts';
import type { RunClaim } from './run-claim.ts';

/** A claim is worth its query where so much of all places is free or has become free, or where so long nothing was claimed. */
const worthAClaim = 1 / 8;
const claimAnywayMs = 50;
const longestFillMs = 60_000;
/** As long as nothing was free: another broker has locked the very rows; they are looked at again then. */
const takenByOthersMs = 100;

export interface RefreshPool {
  /** Claims and begins what is due, until nothing more is or the signal fires. Does not wait for those that run. */
  fill(signal: AbortSignal): Promise<Filled>;
  /** Waits until some of those that run are over; false where none runs. */
  someEnded(): Promise<boolean>;
  /** Waits until everything that was begun is over. */
  settled(): Promise<void>;
}

export interface Filled {
  /** How many refreshes were begun. */
  readonly begun: number;
  /** When there is more to do; undefined where nothing is due at any time. */
  readonly lookAgainAt: Date | undefined;
  /** Whether something was left because of its OAuth client: that some refreshes are over is a reason to look again. */
  readonly passedOver: boolean;
}

export interface RefreshPoolDeps {
  readonly store: Store;
  readonly runClaim: RunClaim;
  readonly flights: RefreshFlights;
  readonly admission: Admission;
  readonly clock: Clock;
  /** How many at the same time. */
  readonly concurrency: number;
  /** The regions to serve now; undefined for every one. */
  readonly regions: () => readonly string[] | undefined;
  /** The name of this replica. */
  readonly replica: string;
  readonly newRequestId: () => string;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told how late a refresh begins, in milliseconds. */
  readonly onBegun: (lateMs: number) => void;
  /** Told when some refreshes are over. */
  readonly onEnded: () => void;
  readonly onFault: (error: unknown) => void;
}

export function createRefreshPool(deps: RefreshPoolDeps): RefreshPool {
  const { store, runClaim, flights, admission, clock, concurrency, regions, replica, sleep } = deps;
  /** The refreshes that run → their OAuth clients */
  const running = new Map<Promise<void>, string>();
  const worth = Math.max(1, Math.floor(concurrency * worthAClaim));
  let waiting: { readonly places: number; readonly resolve: () => void }[] = [];
  let ended = { count: 0, told: Promise.withResolvers<void>(), over: new AbortController() };

  function begin(claim: RefreshClaim): void {
    const { channel, grant } = claim;
    const caller: Scheduler = { kind: 'scheduler', requestId: deps.newRequestId() };
    if (grant.refreshDueAt) deps.onBegun(Math.max(0, clock.now().getTime() - grant.refreshDueAt.getTime()));
    // Every outcome is written and audited by the refresh itself; only faults of the broker are told here.
    const refresh: Promise<void> = flights
      .run(channel.id, () => runClaim(caller, claim))
      .then(() => undefined)
      .catch((error: unknown) => {
        if (asBrokerError(error).code === 'INTERNAL') deps.onFault(error);
      })
      .finally(() => {
        running.delete(refresh);
        const places = concurrency - running.size;
        for (const { resolve } of waiting.filter((waiter) => waiter.places <= places)) resolve();
        waiting = waiting.filter((waiter) => waiter.places > places);
        oneEnded();
      });
    running.set(refresh, channel.oauthClient);
  }

  /** They are told of together: one claim for several, and one request to Vault for what it has claimed. */
  function oneEnded(): void {
    const these = ended;
    these.count += 1;
    if (these.count >= worth || running.size === 0) tellEnded();
    else if (these.count === 1) {
      void sleep(claimAnywayMs, these.over.signal).then(() => {
        if (these === ended) tellEnded();
      });
    }
  }

  function tellEnded(): void {
    const { told, over } = ended;
    ended = { count: 0, told: Promise.withResolvers<void>(), over: new AbortController() };
    over.abort();
    told.resolve();
    deps.onEnded();
  }

  /** Resolves when so many places are free. */
  function free(places: number): Promise<void> {
    if (concurrency - running.size >= places) return Promise.resolve();
    return new Promise((resolve) => waiting.push({ places, resolve }));
  }

  async function untilWorthAClaim(signal: AbortSignal): Promise<void> {
    const stopped = new AbortController();
    const either = AbortSignal.any([signal, stopped.signal]);
    await Promise.race([free(worth), sleep(claimAnywayMs, either)]);
    await Promise.race([free(1), sleep(longestFillMs, either)]);
    stopped.abort();
  }

  /** OAuth client that refreshes run of, or has had answers lately → how many more of it may be begun */
  function rooms({ least, of }: ReturnType<Admission['windows']>): Map<string, number> {
    const left = new Map(of);
    for (const client of running.values()) left.set(client, (left.get(client) ?? least) - 1);
    return left;
  }

  async function claim() {
    const now = clock.now();
    const { clients, lookAgainAt } = admission.excluded(now);
    const windows = admission.windows(now);
    const roomOf = rooms(windows);
    const full = [...roomOf].flatMap(([client, room]) => (room <= 0 ? [client] : []));
    const part: QueuePart = { now, regions: regions(), exceptClients: [...new Set([...clients, ...full])] };
    const lease = { now, until: new Date(now.getTime() + claimMs), owner: replica };
    const wanted = concurrency - running.size;
    const claims = await store.channels.claimDue(part, lease, { limit: wanted, room: windows.least, roomOf });
    return { claims, wanted, part, lookAgainAt };
  }

  async function fill(signal: AbortSignal): Promise<Filled> {
    let begun = 0;
    for (;;) {
      await untilWorthAClaim(signal);
      if (signal.aborted) return { begun, lookAgainAt: clock.now(), passedOver: false };
      if (running.size >= concurrency) continue;
      const { claims, wanted, part, lookAgainAt } = await claim();
      for (const each of claims) begin(each);
      begun += claims.length;
      if (claims.length === wanted) continue;
      const due = await store.channels.nextDue({ ...part, now: clock.now() });
      const isDue = due !== undefined && due <= clock.now();
      if (isDue && claims.length > 0) continue;
      const next = isDue ? new Date(clock.now().getTime() + takenByOthersMs) : due;
      return { begun, lookAgainAt: earlier(next, lookAgainAt), passedOver: part.exceptClients.length > 0 };
    }
  }

  return {
    fill,
    async someEnded() {
      if (running.size === 0) return false;
      await ended.told.promise;
      return true;
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.keys());
    },
  };
}

function earlier(one: Date | undefined, other: Date | undefined): Date | undefined {
  return one && other ? (one < other ? one : other) : (one ?? other);
}
