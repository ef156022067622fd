/**
 * What the practice Google was asked: totals, the last requests in full, concurrency and TCP connections.
 * Tests use it above all to assert what was *not* sent.
 */
import type { Clock } from './clock.ts';
import type { RequestFacts } from './request-facts.ts';

/** One request as it arrived. Holds secrets: this is a test server. */
export interface LoggedRequest extends RequestFacts {
  /** Instant of arrival by the practice clock. */
  readonly at: number;
  /** Query and form fields together. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** HTTP status sent back; absent while it is being handled, or when a fault took the answer away. */
  readonly status: number | undefined;
}

/** Picks requests; a field left out fits everything. */
export type RequestFilter = Partial<
  Pick<RequestFacts, 'endpoint' | 'method' | 'path' | 'clientId' | 'grantType' | 'token'>
>;

/** The counts as plain data. */
export interface CountsSnapshot {
  readonly requests: number;
  /** Requests per endpoint, per client id, per grant type. */
  readonly byEndpoint: Readonly<Record<string, number>>;
  readonly byClient: Readonly<Record<string, number>>;
  readonly byGrantType: Readonly<Record<string, number>>;
  readonly byStatus: Readonly<Record<string, number>>;
  /** The most requests that were being handled at the same time, per endpoint. */
  readonly concurrentPeak: Readonly<Record<string, number>>;
  /** The most refreshes with one and the same refresh token that were being handled at the same time. */
  readonly sameTokenPeak: number;
  /** TCP connections accepted. */
  readonly connections: number;
}

/** What a test may ask about the requests so far. */
export interface Counts {
  /** How many of the logged requests fit `filter`; the log keeps the last 10 000. */
  requests(filter?: RequestFilter): number;
  /** The logged requests that fit `filter`, oldest first. */
  log(filter?: RequestFilter): readonly LoggedRequest[];
  /** Resolves as soon as `count` (default 1) logged requests fit `filter`, also if they already do. */
  arrival(filter: RequestFilter, count?: number): Promise<void>;
  snapshot(): CountsSnapshot;
  /** Forgets everything counted so far. Connections that are open stay open. */
  reset(): void;
}

/** The side that the server reports to. */
export interface Counter extends Counts {
  connection(): void;
  /** Records an arrival; the returned function records its end with the status that was sent, if any. */
  arrived(facts: RequestFacts, request: Pick<LoggedRequest, 'parameters' | 'headers'>): (status?: number) => void;
}

const logLimit = 10_000;

/** Tells whether `facts` fit `filter`. */
export function fits(facts: RequestFacts, filter: RequestFilter): boolean {
  return (Object.keys(filter) as (keyof RequestFilter)[]).every(
    (field) => filter[field] === undefined || filter[field] === facts[field],
  );
}

/** Creates a counter at zero. */
export function createCounter({ clock }: { clock: Clock }): Counter {
  let log: LoggedRequest[] = [];
  let connections = 0;
  let requests = 0;
  const totals = { endpoint: tally(), client: tally(), grantType: tally(), status: tally() };
  const active = tally();
  const peak = tally();
  const refreshing = tally();
  let sameTokenPeak = 0;
  let waiting: { readonly filter: RequestFilter; readonly count: number; readonly resolve: () => void }[] = [];

  const matching = (filter: RequestFilter) => log.filter((entry) => fits(entry, filter));

  function wakeWaiting(): void {
    waiting = waiting.filter(({ filter, count, resolve }) => {
      if (matching(filter).length < count) return true;
      resolve();
      return false;
    });
  }

  return {
    connection() {
      connections += 1;
    },
    arrived(facts, request) {
      const entry: { -readonly [Field in keyof LoggedRequest]: LoggedRequest[Field] } = {
        ...facts,
        ...request,
        at: clock.now(),
        status: undefined,
      };
      log.push(entry);
      if (log.length > 2 * logLimit) log = log.slice(-logLimit);
      requests += 1;
      totals.endpoint.add(facts.endpoint);
      if (facts.clientId !== undefined) totals.client.add(facts.clientId);
      if (facts.grantType !== undefined) totals.grantType.add(facts.grantType);
      peak.raise(facts.endpoint, active.add(facts.endpoint));
      const refreshed = facts.grantType === 'refresh_token' ? facts.token : undefined;
      if (refreshed !== undefined) sameTokenPeak = Math.max(sameTokenPeak, refreshing.add(refreshed));
      if (waiting.length > 0) wakeWaiting();
      return (status) => {
        active.add(facts.endpoint, -1);
        if (refreshed !== undefined && refreshing.add(refreshed, -1) === 0) refreshing.forget(refreshed);
        entry.status = status;
        totals.status.add(status === undefined ? 'none' : String(status));
      };
    },
    requests: (filter = {}) => matching(filter).length,
    log: (filter = {}) => matching(filter),
    arrival(filter, count = 1) {
      return new Promise((resolve) => {
        waiting.push({ filter, count, resolve });
        wakeWaiting();
      });
    },
    snapshot: () => ({
      requests,
      byEndpoint: totals.endpoint.all(),
      byClient: totals.client.all(),
      byGrantType: totals.grantType.all(),
      byStatus: totals.status.all(),
      concurrentPeak: peak.all(),
      sameTokenPeak,
      connections,
    }),
    reset() {
      log = [];
      requests = 0;
      connections = 0;
      sameTokenPeak = 0;
      for (const total of [...Object.values(totals), peak]) total.clear();
    },
  };
}

/** Numbers by name. */
function tally() {
  const numbers = new Map<string, number>();
  return {
    add(name: string, by = 1): number {
      const sum = (numbers.get(name) ?? 0) + by;
      numbers.set(name, sum);
      return sum;
    },
    raise(name: string, to: number): void {
      numbers.set(name, Math.max(numbers.get(name) ?? 0, to));
    },
    forget: (name: string) => void numbers.delete(name),
    all: (): Record<string, number> => Object.fromEntries(numbers),
    clear: () => numbers.clear(),
  };
}
