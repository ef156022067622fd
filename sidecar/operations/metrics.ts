/**
 * What the sidecar counts. Names and labels stand here and nowhere else; the only import of prom-client in the sidecar.
 * Label values are from small sets: what comes from outside is a known word, or `other`.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { errorTable } from '../errors.ts';
import type { ServingObserver } from '../observe.ts';
import type { HeldChannel } from '../token-source.ts';

/** What is asked at each scrape. */
export interface MetricSources {
  /** End of the certificate, in milliseconds since 1970; undefined before the first. */
  svidEnds(): number | undefined;
  /** The channels of which something is known. */
  channels(): readonly HeldChannel[];
  /** For how long the broker has not spoken although channels are subscribed, in milliseconds. */
  silence(): number;
}

export interface Metrics extends ServingObserver {
  /** An attempt at a new certificate ended: `ok` or the code of the failure. */
  rotated(result: string): void;
  /** A login at Vault ended: `ok` or the code of the failure. */
  loggedIn(code: string): void;
  /** A call to the broker ended after so many seconds: `ok` or the code of the refusal. */
  brokerAnswered(code: string, seconds: number): void;
  /** Has the sources asked at each scrape. */
  watch(sources: MetricSources): void;
  /** The Prometheus text format. */
  text(): Promise<string>;
}

/** So many codes that are not the sidecar's own get a series of their own. */
const MOST_CODES = 100;
/** So many channels get a series of their own: those that end first. */
const MOST_CHANNELS = 1_000;

export function createMetrics(now: () => number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // It wakes the process each time: at its usual 10 ms that costs more than everything else that an idle sidecar does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 250 });
  const known = new Set<string>(['ok', ...Object.keys(errorTable)]);
  let sources: MetricSources | undefined;

  const codeOf = (code: string): string => {
    if (known.has(code)) return code;
    if (!/^[A-Z][A-Z0-9_]{1,40}$/.test(code) || known.size >= MOST_CODES) return 'other';
    known.add(code);
    return code;
  };

  /** Channel and end of its token, the first to end first. */
  const tokenEnds = () =>
    (sources?.channels() ?? [])
      .flatMap(({ channelId, served }) => (served ? [[channelId, served.token.expiresAt] as const] : []))
      .sort(([, one], [, other]) => one - other);

  const rotations = new Counter({
    name: 'token_sidecar_svid_rotations_total',
    help: 'Attempts at a new certificate, by result: ok or the code of the failure.',
    labelNames: ['result'],
    registers,
  });
  const logins = new Counter({
    name: 'token_sidecar_vault_logins_total',
    help: 'Logins at Vault, by code: ok or the code of the failure.',
    labelNames: ['code'],
    registers,
  });
  const brokerCalls = new Histogram({
    name: 'token_sidecar_broker_call_seconds',
    help: 'How long the broker took to answer, by code: ok or the code of the refusal.',
    labelNames: ['code'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2],
    registers,
  });
  const lookUps = new Histogram({
    name: 'token_sidecar_caller_lookup_seconds',
    help: 'How long it took to find out who is at the other end of a new local connection, by whether the system said it.',
    labelNames: ['found'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1],
    registers,
  });
  const rejections = new Counter({
    name: 'token_sidecar_tokens_rejected_total',
    help: 'Reports of workers that a token got 401, by outcome: replaced, kept, unknown or limited.',
    labelNames: ['outcome'],
    registers,
  });
  const given = createTally<'from'>();
  new Counter({
    name: 'token_sidecar_tokens_given_total',
    help: 'Tokens given, by where from: memory, broker, or stale: from memory while the broker fails.',
    labelNames: ['from'],
    registers,
    collect() {
      given.fill(this);
    },
  });
  const requests = createTally<'interface' | 'code' | 'client'>();
  new Counter({
    name: 'token_sidecar_requests_total',
    help: 'Local requests answered, by interface, code (ok or the code of the refusal) and client library.',
    labelNames: ['interface', 'code', 'client'],
    registers,
    collect() {
      requests.fill(this);
    },
  });
  new Gauge({
    name: 'token_sidecar_svid_seconds_left',
    help: 'Life left of the certificate; below 0 when it has ended, absent before the first.',
    registers,
    collect() {
      const end = sources?.svidEnds();
      if (end !== undefined) this.set((end - now()) / 1_000);
      else this.remove();
    },
  });
  new Gauge({
    name: 'token_sidecar_token_seconds_left',
    help: 'Life left of the token that is held for a channel; absent where none is.',
    labelNames: ['channel'],
    registers,
    collect() {
      this.reset();
      for (const [channel, end] of tokenEnds().slice(0, MOST_CHANNELS)) this.set({ channel }, (end - now()) / 1_000);
    },
  });
  new Gauge({
    name: 'token_sidecar_tokens_held',
    help: 'Channels of which a token is held.',
    registers,
    collect() {
      this.set(tokenEnds().length);
    },
  });
  new Gauge({
    name: 'token_sidecar_broker_silence_seconds',
    help: 'For how long the broker has told nothing of the channels that are held; it speaks every 10 s.',
    registers,
    collect() {
      this.set((sources?.silence() ?? 0) / 1_000);
    },
  });

  return {
    rotated: (result) => rotations.inc({ result: codeOf(result) }),
    loggedIn: (code) => logins.inc({ code: codeOf(code) }),
    brokerAnswered: (code, seconds) => brokerCalls.observe({ code: codeOf(code) }, seconds),
    answered(on, code, language, source) {
      const known = codeOf(code);
      requests.count(`${on} ${known} ${language}`, { interface: on, code: known, client: language });
      if (source !== 'none') given.count(source, { from: source });
    },
    attested: (found, milliseconds) => lookUps.observe({ found: String(found) }, milliseconds / 1_000),
    rejected: (outcome) => rejections.inc({ outcome }),
    watch(next) {
      sources = next;
    },
    text: () => registry.metrics(),
  };
}

/**
 * Counts what happens on every request: prom-client takes the labels apart at each count, which a plain number does
 * not; it hears of the numbers when it is asked.
 */
function createTally<Label extends string>() {
  const numbers = new Map<string, { readonly labels: Readonly<Record<Label, string>>; count: number }>();
  return {
    count(key: string, labels: Readonly<Record<Label, string>>): void {
      const number = numbers.get(key);
      if (number) number.count += 1;
      else numbers.set(key, { labels, count: 1 });
    },
    fill(counter: Pick<Counter<Label>, 'reset' | 'inc'>): void {
      counter.reset();
      for (const { labels, count } of numbers.values()) counter.inc({ ...labels }, count);
    },
  };
}
