/**
 * Which regions this replica serves: those that it was given, and those that no live replica has served for some time.
 * Replicas see each other in a table where each shows, every ten seconds, that it is alive.
 */
import { asBrokerError } from '../errors.ts';
import type { Replica, Store } from '../ports.ts';

const beatEveryMs = 10_000;

export interface ServeRegions {
  /** The regions to serve now; undefined for every one. */
  regions(): readonly string[] | undefined;
  start(): void;
  /** Shows that this replica is alive, and looks who else is. */
  beat(): Promise<void>;
  stop(): Promise<void>;
}

export function createServeRegions(deps: {
  readonly store: Pick<Store, 'replicas'>;
  readonly self: Replica;
  /** How long a region goes without a live replica before others serve it. */
  readonly takeoverMs: number;
  /** Waits; ends early when the signal fires. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told the regions of others that this replica serves from now on, where these change. */
  readonly onTakeover: (regions: readonly string[]) => void;
  readonly onFault: (error: unknown) => void;
}): ServeRegions {
  const { store, self, takeoverMs, sleep } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let takenOver: readonly string[] = [];

  async function beat(): Promise<void> {
    const abandoned = await store.replicas.beat(self, takeoverMs);
    if (abandoned.join() === takenOver.join()) return;
    takenOver = abandoned;
    deps.onTakeover(abandoned);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      // While the database is away nothing is claimed either, and what was known stays.
      await beat().catch((error: unknown) => {
        if (asBrokerError(error).code !== 'STORE_UNAVAILABLE') deps.onFault(error);
      });
      await sleep(Math.min(beatEveryMs, takeoverMs / 3), stopping.signal);
    }
  }

  return {
    regions: () => self.regions && [...self.regions, ...takenOver],
    start() {
      loop ??= run();
    },
    beat,
    async stop() {
      stopping.abort();
      await loop;
      // Where the database is away it is seen to be silent.
      if (loop) await store.replicas.stop(self.id).catch(() => undefined);
    },
  };
}
