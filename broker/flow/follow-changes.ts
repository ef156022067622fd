/**
 * What a broker does when a channel has changed, by whomever: tokens that may not be released any more leave its cache,
 * what it remembers of the channel is forgotten, and those who watch the channel are told.
 */
import { releaseRefusal } from '../domain/channel.ts';
import type { AccessTokenCache, ChannelChange, Store } from '../ports.ts';
import type { WatchChannels } from './watch-channels.ts';

/** Longer than any access token lives, and than an outage after which one would still want to know. */
const keptForMs = 24 * 3_600_000;
const pruneEveryMs = 60_000;
const prunedAtOnce = 1_000;

export interface FollowChanges {
  start(): void;
  stop(): Promise<void>;
}

export function createFollowChanges(deps: {
  store: Store;
  cache: AccessTokenCache;
  watchChannels: WatchChannels;
  /** Told that others are shut out. */
  denialsChanged: () => void;
  /** Forgets what is remembered of a channel, or of all where none is named. */
  forget: (channel?: string) => void;
  randomFraction: () => number;
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told whether changes are heard of. */
  onHearing: (hears: boolean, error?: Error) => void;
  /** Told how many changes were heard. */
  onChanges: (count: number) => void;
  onFault: (error: unknown) => void;
}): FollowChanges {
  const { store, cache, watchChannels, forget, onFault } = deps;
  const stopping = new AbortController();
  let following: { stop(): Promise<void> } | undefined;
  let pruning: Promise<void> | undefined;
  let hears: boolean | undefined;

  function turn(now: boolean, error?: Error): void {
    if (now === hears) return;
    hears = now;
    watchChannels.hearing(now);
    deps.onHearing(now, error);
  }

  function changed(changes: readonly ChannelChange[]): void {
    deps.onChanges(changes.length);
    for (const change of changes) {
      forget(change.channel);
      watchChannels.changed(change.channel);
      for (const generation of endedGenerations(change)) {
        cache.drop(cache.keyOf(change.channel, generation)).catch(onFault);
      }
    }
  }

  async function prune(): Promise<void> {
    while (!stopping.signal.aborted) {
      await deps.sleep(pruneEveryMs * (0.5 + deps.randomFraction()), stopping.signal);
      if (stopping.signal.aborted) return;
      // Away is told by the follower; another try comes.
      await store.changes.prune(keptForMs, prunedAtOnce).catch(() => undefined);
    }
  }

  return {
    start() {
      if (following) return;
      watchChannels.hearing(false);
      const listener = {
        changed,
        denialsChanged: deps.denialsChanged,
        lookAgain() {
          deps.denialsChanged();
          forget();
          watchChannels.everythingChanged();
        },
        hears: () => turn(true),
        deaf: (error: Error) => turn(false, error),
      };
      following = store.changes.follow(listener, deps.randomFraction);
      pruning = prune();
    },
    async stop() {
      stopping.abort();
      await Promise.all([following?.stop(), pruning]);
    },
  };
}

/** Generations whose tokens are released no more. */
export function endedGenerations({ former, present }: ChannelChange): readonly number[] {
  const ended = new Set<number>();
  if (former && former.generation !== present?.generation) ended.add(former.generation);
  if (present && releaseRefusal(present)) ended.add(present.generation);
  ended.delete(0);
  return [...ended];
}
