/**
 * Tells workloads the standing of their channels: all of it at first, and again after each change. Looks go out one
 * after the other and for all watchers together, so a newer standing is never overtaken by an older one, and a change
 * of hundreds of channels costs two queries.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Workload } from '../domain/caller.ts';
import { isChannelId } from '../domain/identifier.ts';
import { releaseVerdict } from '../domain/release.ts';
import { nextEnd, permissionOf, type RuleTerms } from '../domain/workload-rule.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { ChannelStanding, Clock, Store } from '../ports.ts';
import { invalid } from './input.ts';

const channelsPerWatch = 1_000;
const watchesPerWorkload = 512;
const channelsPerLook = 1_000;
const deniedOnRecordPerWatch = 20;
const deniedAgainAfterMs = 10 * 60_000;
const deniedRemembered = 10_000;
/** After so long without hearing the database nobody is to believe that what was told last still holds. */
const deafForMs = 10_000;
/** A rule that ends is noticed within this time. */
const lookAtEndsEveryMs = 500;
const firstRetryMs = 200;
const longestRetryMs = 5_000;

/** What a workload may know of a channel. */
export interface WatchedChannel {
  readonly channel: string;
  /** Why no token is released; undefined where they are. */
  readonly refusal: ErrorCode | undefined;
  /** 0 where the workload may not read the channel, or it has no grant. */
  readonly generation: number;
}

export interface Watcher {
  /** Given all channels of the watch, the newest standing of each; not before all are known. */
  update(channels: readonly WatchedChannel[]): void;
  /** Nothing follows: by reason of the error, or because the broker stops. */
  end(error: BrokerError | undefined): void;
}

export interface WatchChannels {
  /** Throws INVALID_REQUEST, RATE_LIMITED where the workload has too many watches, STORE_UNAVAILABLE. */
  watch(caller: Workload, channels: readonly string[], watcher: Watcher): { close(): void };
  /** Looks at the channel again for everybody who watches it. */
  changed(channel: string): void;
  everythingChanged(): void;
  /** Whether changes are heard of at the moment; told at the start and at each turn. */
  hearing(hears: boolean): void;
  /** Throws STORE_UNAVAILABLE where changes have not been heard of for so long that nobody is let in. */
  check(): Promise<void>;
  /** The channels that are watched now by a workload that may read them. */
  watched(): Iterable<string>;
  /** Ends every watch. */
  stop(): Promise<void>;
}

/** What is known of a channel for one watch; the rules are undefined before the first look. */
interface Place {
  standing?: ChannelStanding | undefined;
  rules?: readonly RuleTerms[];
  /** As it was told, or is about to be. */
  known?: WatchedChannel & { readonly tenant: string | undefined };
}

interface Watch {
  readonly caller: Workload;
  readonly watcher: Watcher;
  readonly channels: ReadonlyMap<string, Place>;
  told: boolean;
}

export function createWatchChannels(deps: {
  store: Store;
  clock: Clock;
  /** From 0 to 1. */
  randomFraction: () => number;
  /** Waits; ends early when the signal fires. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  onFault: (error: unknown) => void;
  /** Told how many watches are open. */
  onWatches: (open: number) => void;
}): WatchChannels {
  const { store, clock, sleep } = deps;
  const watches = new Set<Watch>();
  const watchesOf = new Map<string, Set<Watch>>();
  const stale = new Set<string>();
  /** channel → when the first of its rules ends by which somebody watches it */
  const endsOf = new Map<string, Date>();
  const deniedAt = new Map<string, number>();
  const stopping = new AbortController();
  let looking: Promise<void> | undefined;
  let ending: Promise<void> | undefined;
  let turn = new AbortController();
  let deaf = false;

  function close(watch: Watch): void {
    if (!watches.delete(watch)) return;
    for (const channel of watch.channels.keys()) {
      const rest = watchesOf.get(channel);
      rest?.delete(watch);
      if (rest?.size !== 0) continue;
      watchesOf.delete(channel);
      endsOf.delete(channel);
    }
    deps.onWatches(watches.size);
  }

  function end(watch: Watch, error: BrokerError | undefined): void {
    close(watch);
    watch.watcher.end(error);
  }

  function lookAt(channels: Iterable<string>): void {
    for (const channel of channels) if (watchesOf.has(channel)) stale.add(channel);
    if (stale.size > 0) looking ??= look().finally(() => (looking = undefined));
  }

  async function look(): Promise<void> {
    for (let failures = 0; stale.size > 0 && !stopping.signal.aborted; ) {
      const channels = [...stale].slice(0, channelsPerLook);
      for (const channel of channels) stale.delete(channel);
      try {
        await lookOnce(channels);
        failures = 0;
      } catch (error) {
        for (const channel of channels) if (watchesOf.has(channel)) stale.add(channel);
        deps.onFault(error);
        const pause = Math.min(longestRetryMs, firstRetryMs * 2 ** failures) * (0.5 + deps.randomFraction() / 2);
        failures += 1;
        await sleep(pause, stopping.signal);
      }
    }
  }

  async function lookOnce(channels: readonly string[]): Promise<void> {
    // Whoever comes while this waits has made its channels stale again.
    const concerned = new Set(channels.flatMap((channel) => [...(watchesOf.get(channel) ?? [])]));
    const spiffeIds = [...new Set([...concerned].map(({ caller }) => caller.spiffeId))];
    const ids = channels.filter(isChannelId);
    const [standings, accesses] = await Promise.all([
      store.channels.standings(ids),
      store.workloadAccess.listFor(spiffeIds, ids),
    ]);
    const standing = new Map(standings.map((row) => [row.id, row]));
    const rules = Map.groupBy(accesses, (access) => `${access.spiffeId} ${access.channel}`);
    for (const watch of concerned) {
      for (const channel of channels) {
        const place = watch.channels.get(channel);
        if (!place) continue;
        place.standing = standing.get(channel);
        place.rules = rules.get(`${watch.caller.spiffeId} ${channel}`) ?? [];
      }
      await judge(watch, channels);
    }
  }

  /** Tells a watch what has become of these channels by what is known of them now. */
  async function judge(watch: Watch, channels: readonly string[]): Promise<void> {
    if (!watches.has(watch)) return;
    const now = clock.now();
    let news = !watch.told;
    for (const channel of channels) {
      const place = watch.channels.get(channel);
      if (!place?.rules) continue;
      const { standing, rules } = place;
      const refusal = isChannelId(channel) ? releaseVerdict(standing, permissionOf(rules, now)) : 'INVALID_REQUEST';
      const generation = refusal === 'ACCESS_DENIED' ? 0 : (standing?.generation ?? 0);
      news ||= place.known?.refusal !== refusal || place.known?.generation !== generation;
      place.known = { channel, refusal, generation, tenant: standing?.tenant };
      noteEnd(channel, nextEnd(rules, now));
    }
    if (news) await tell(watch);
  }

  function noteEnd(channel: string, end: Date | undefined): void {
    const known = endsOf.get(channel);
    if (!end || (known && known <= end)) return;
    endsOf.set(channel, end);
    ending ??= judgeAtEnds();
  }

  /**
   * Judges channels again when rules end, without the database: the end was known before. Asks the clock and sets no timer
   * for the end, since clocks are set anew and machines sleep.
   */
  async function judgeAtEnds(): Promise<void> {
    while (endsOf.size > 0 && !stopping.signal.aborted) {
      await sleep(lookAtEndsEveryMs, stopping.signal);
      const now = clock.now();
      for (const [channel, end] of endsOf) {
        if (now < end) continue;
        endsOf.delete(channel);
        for (const watch of watchesOf.get(channel) ?? []) await judge(watch, [channel]).catch(deps.onFault);
      }
    }
    ending = undefined;
  }

  async function tell(watch: Watch): Promise<void> {
    const known = [...watch.channels.values()].flatMap((place) => (place.known ? [place.known] : []));
    if (known.length < watch.channels.size) return;
    if (!watch.told) {
      try {
        await recordDenied(watch.caller, known);
      } catch (error) {
        return end(watch, error instanceof BrokerError ? error : new BrokerError('INTERNAL', { cause: error }));
      }
    }
    if (!watches.has(watch)) return;
    watch.told = true;
    watch.watcher.update(known.map(({ channel, refusal, generation }) => ({ channel, refusal, generation })));
  }

  /** Each refusal of a workload and channel once in a while, and no more than a few for each watch. */
  async function recordDenied(
    caller: Workload,
    known: readonly (WatchedChannel & { readonly tenant: string | undefined })[],
  ): Promise<void> {
    const now = clock.now();
    const denied = known.filter(({ refusal, channel }) => {
      const last = deniedAt.get(`${caller.spiffeId} ${channel}`) ?? Number.NEGATIVE_INFINITY;
      return refusal === 'ACCESS_DENIED' && now.getTime() - last >= deniedAgainAfterMs;
    });
    for (const { channel, tenant } of denied.slice(0, deniedOnRecordPerWatch)) {
      const detail = tenant === undefined ? 'unknown channel' : 'workload has no access';
      const facts = { detail, certificate: caller.certificateSerial, denied: denied.length };
      const target = { tenant, channel };
      await store.audit.append(auditRecord(now, caller, 'channel.subscribe', 'ACCESS_DENIED', target, facts));
      if (deniedAt.size >= deniedRemembered) deniedAt.clear();
      deniedAt.set(`${caller.spiffeId} ${channel}`, now.getTime());
    }
  }

  return {
    watch(caller, channels, watcher) {
      const wanted = new Set(channels);
      if (wanted.size === 0) throw invalid('channel_ids: name at least one channel');
      if (wanted.size > channelsPerWatch) throw invalid(`channel_ids: at most ${channelsPerWatch} channels`);
      if (deaf || stopping.signal.aborted) throw notHeard();
      const own = [...watches].filter((watch) => watch.caller.spiffeId === caller.spiffeId).length;
      if (own >= watchesPerWorkload) {
        throw new BrokerError('RATE_LIMITED', { detail: `${own} subscriptions of one workload`, retryAfter: 30 });
      }
      const places = new Map([...wanted].map((channel): [string, Place] => [channel, {}]));
      const watch: Watch = { caller, watcher, channels: places, told: false };
      watches.add(watch);
      for (const channel of wanted) {
        const known = watchesOf.get(channel);
        if (known) known.add(watch);
        else watchesOf.set(channel, new Set([watch]));
      }
      deps.onWatches(watches.size);
      lookAt(wanted);
      return { close: () => close(watch) };
    },

    changed: (channel) => lookAt([channel]),
    everythingChanged: () => lookAt(watchesOf.keys()),

    hearing(hears) {
      turn.abort();
      turn = new AbortController();
      deaf &&= !hears;
      if (hears) return;
      const { signal } = turn;
      void sleep(deafForMs, AbortSignal.any([signal, stopping.signal])).then(() => {
        if (signal.aborted || stopping.signal.aborted) return;
        deaf = true;
        for (const watch of watches) end(watch, notHeard());
      });
    },

    async check() {
      if (deaf) throw notHeard();
    },

    *watched() {
      for (const { channels } of watches) {
        for (const [channel, { known }] of channels) if (known && known.refusal === undefined) yield channel;
      }
    },

    async stop() {
      stopping.abort();
      for (const watch of watches) end(watch, undefined);
      await Promise.all([looking, ending]);
    },
  };
}

function notHeard(): BrokerError {
  return new BrokerError('STORE_UNAVAILABLE', { detail: 'changes are not heard of', retryAfter: 5 });
}
