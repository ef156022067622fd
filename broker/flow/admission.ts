/**
 * Whose turn it is at Google's token endpoint. Each OAuth client has, on this replica, a bulkhead (it can never hold all
 * slots) and a breaker (one that hangs is asked once in a while and not by everybody), and with all replicas together a
 * token bucket for each region, which is halved where Google says that it is too much. One that Google refuses is asked by
 * one channel now and then.
 */
import type { BucketRules } from '../domain/token-bucket.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { Admission, Clock, RateLimits } from '../ports.ts';
import { type Bulwark, createBulwark } from '../resilience.ts';
import { type ClientWindow, createClientWindow } from './client-window.ts';
import { RefreshRefused } from './refresh-verdict.ts';

/** Whoever would wait longer for a token of the bucket is sent away: a slot is worth more. */
const patienceMs = 2_000;
/** The same for a slot of the bulkhead. */
const slotPatienceMs = 1_000;
/** Where Google says "too much" and not for how long. */
const shortestClosureMs = 1_000;
/** What `Retry-After` can ask of a whole OAuth client; a channel obeys it in full. */
const longestClosureMs = 3_600_000;
const failuresToBreak = 5;
const firstOpenMs = 5_000;
const longestOpenMs = 60_000;
/** A refused OAuth client is asked again after this, up to twice as long. */
const probeEveryMs = 20_000;
/** A slot is free again soon, nobody knows when. */
const slotSoonMs = 500;

/** Why it is not its turn. */
export type Refusal = 'rate' | 'breaker' | 'bulkhead' | 'incident';

/** Thrown in place of doing the work: nothing was asked, nothing failed. */
export class NotAdmitted extends BrokerError {
  /** When it makes sense to ask again. */
  readonly until: Date;
  readonly refusal: Refusal;

  constructor(refusal: Refusal, until: Date, now: Date) {
    const retryAfter = Math.max(1, Math.ceil((until.getTime() - now.getTime()) / 1_000));
    super(told[refusal], { detail: `not its turn: ${refusal}`, retryAfter });
    this.until = until;
    this.refusal = refusal;
  }
}

const told: Readonly<Record<Refusal, ErrorCode>> = {
  rate: 'RATE_LIMITED',
  breaker: 'AUTHORIZATION_SERVER_UNAVAILABLE',
  bulkhead: 'RATE_LIMITED',
  incident: 'OAUTH_CLIENT_REJECTED',
};

export interface AdmissionDeps {
  readonly rateLimits: RateLimits;
  readonly clock: Clock;
  readonly randomFraction: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Of all OAuth clients together, on this replica. */
  readonly concurrency: number;
  /** Of one OAuth client in one region, all replicas together. */
  readonly rules: BucketRules;
  /** Whether Google refuses this OAuth client, as an open incident says. */
  readonly isRejected: (oauthClient: string) => boolean;
  readonly onRefused: (oauthClient: string, refusal: Refusal) => void;
  readonly onBreaker: (oauthClient: string, isOpen: boolean) => void;
}

export function createAdmission(deps: AdmissionDeps): Admission {
  const { rateLimits, clock, pause, sleep, rules, isRejected, concurrency } = deps;
  const most = Math.max(1, Math.floor((concurrency * 3) / 4));
  const least = Math.max(1, Math.floor(concurrency / 8));
  const bulwarks = new Map<string, Bulwark>();
  const windows = new Map<string, ClientWindow>();
  /** OAuth client → when its bucket has a token again, as far as it is known */
  const emptyUntil = new Map<string, Date>();
  /** OAuth client that Google refuses → when it is asked again */
  const probes = new Map<string, Date>();

  function bulwarkOf(client: string): Bulwark {
    const known = bulwarks.get(client);
    if (known) return known;
    const bulwark = createBulwark({
      slots: most,
      failures: failuresToBreak,
      firstOpenMs,
      longestOpenMs,
      isOutage,
      now: clock.now,
      randomFraction: deps.randomFraction,
      onBreaker: (isOpen) => deps.onBreaker(client, isOpen),
    });
    bulwarks.set(client, bulwark);
    return bulwark;
  }

  function windowOf(client: string): ClientWindow {
    const window = windows.get(client) ?? createClientWindow({ least, most });
    windows.set(client, window);
    return window;
  }

  /** Why nothing of this OAuth client is worth beginning now, and until when; undefined where it is. */
  function obstacle(client: string, now: Date): Obstacle | undefined {
    const probe = isRejected(client) ? probes.get(client) : undefined;
    if (probe && now < probe) return { refusal: 'incident', until: probe };
    const standing = bulwarkOf(client).standing(now);
    if (standing.state === 'open') return { refusal: 'breaker', until: standing.until };
    if (standing.state === 'probing') return { refusal: 'breaker', until: soonAfter(now) };
    const empty = emptyUntil.get(client);
    if (empty && empty.getTime() - now.getTime() > patienceMs) return { refusal: 'rate', until: empty };
    return undefined;
  }

  function refuse(client: string, { refusal, until }: Obstacle, now: Date): never {
    deps.onRefused(client, refusal);
    throw new NotAdmitted(refusal, until, now);
  }

  function requireTurn(client: string): void {
    const now = clock.now();
    const found = obstacle(client, now);
    if (found) refuse(client, found, now);
  }

  async function takeToken(client: string, region: string): Promise<void> {
    const { granted, waitMs } = await rateLimits.take(client, region, rules, patienceMs);
    if (granted) return waitMs > 0 ? pause(waitMs) : undefined;
    const now = clock.now();
    const until = new Date(now.getTime() + waitMs);
    emptyUntil.set(client, until);
    return refuse(client, { refusal: 'rate', until }, now);
  }

  /** What Google's answer says about the whole OAuth client. */
  async function heed(client: string, region: string, error: unknown): Promise<void> {
    if (!(error instanceof RefreshRefused)) return;
    const { class: failure, error: code, retryAfter } = error.failure;
    // It was asked about twice.
    if (code === 'invalid_grant') await rateLimits.take(client, region, rules, longestClosureMs);
    if (failure !== 'rate_limited' && retryAfter === undefined) return;
    const closedMs = Math.min(longestClosureMs, Math.max(shortestClosureMs, (retryAfter ?? 0) * 1_000));
    emptyUntil.set(client, new Date(clock.now().getTime() + closedMs));
    await rateLimits.slowDown(client, region, rules, closedMs);
  }

  return {
    windows: (now) => ({ least, of: new Map([...windows].map(([client, window]) => [client, window.size(now)])) }),

    excluded(now) {
      const found = [...bulwarks].flatMap(([client, bulwark]) => {
        const full = bulwark.standing(now).state === 'full' ? soonAfter(now) : undefined;
        const until = obstacle(client, now)?.until ?? full;
        return until ? [{ client, until: until.getTime() }] : [];
      });
      return {
        clients: found.map(({ client }) => client),
        lookAgainAt: found.length > 0 ? new Date(Math.min(...found.map(({ until }) => until))) : undefined,
      };
    },

    async run(client, region, work) {
      requireTurn(client);
      if (isRejected(client)) probes.set(client, nextProbe());
      else probes.delete(client);
      const entered = await bulwarkOf(client).enter(
        (ask) => askInTurn(client, region, () => ask(work)),
        (signal) => sleep(slotPatienceMs, signal),
      );
      if (entered) return entered.done;
      const now = clock.now();
      return refuse(client, { refusal: 'bulkhead', until: soonAfter(now) }, now);
    },
  };

  async function askInTurn<T>(client: string, region: string, ask: () => Promise<T>): Promise<T> {
    await takeToken(client, region);
    // Others may have found out meanwhile that it hangs.
    const { state } = bulwarkOf(client).standing(clock.now());
    if (state === 'open' || state === 'probing') requireTurn(client);
    const begun = clock.now();
    const answered = () => windowOf(client).answered(clock.now(), clock.now().getTime() - begun.getTime());
    try {
      const done = await ask();
      answered();
      return done;
    } catch (error) {
      if (isOutage(error)) windowOf(client).failed();
      else if (error instanceof RefreshRefused) answered();
      await heed(client, region, error);
      throw error;
    }
  }

  function nextProbe(): Date {
    return new Date(clock.now().getTime() + (1 + deps.randomFraction()) * probeEveryMs);
  }
}

interface Obstacle {
  readonly refusal: Refusal;
  readonly until: Date;
}

function soonAfter(now: Date): Date {
  return new Date(now.getTime() + slotSoonMs);
}

/** Nothing that one channel's grant is the reason of, and no fault of our own. */
function isOutage(error: unknown): boolean {
  return error instanceof RefreshRefused && ['unavailable', 'client_rejected'].includes(error.failure.class);
}
