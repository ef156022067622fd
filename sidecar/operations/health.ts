/**
 * Whether the sidecar can serve. Ready means: its certificate is in force and the broker accepts it; or, with channels of
 * its own, that a token of each of them is in memory. A sidecar that stops is not ready, whatever it holds.
 */
import type { BrokerClient } from '../broker-client.ts';
import { errorTable } from '../errors.ts';
import type { Subscription } from '../subscription.ts';
import type { SvidSource } from '../svid-source.ts';
import type { TokenSource } from '../token-source.ts';

const BROKER_WITHIN_MS = 1_000;

/** What stands in the way, as `/readyz` lists it. */
export interface Obstacle {
  readonly code: string;
  readonly next: string;
}

export interface HealthOptions {
  readonly svids: Pick<SvidSource, 'current' | 'problem'>;
  readonly broker: Pick<BrokerClient, 'connected'>;
  readonly tokens: Pick<TokenSource, 'holds'>;
  readonly subscription: Pick<Subscription, 'silentFor'>;
  /** Whether the sidecar is stopping. */
  readonly draining: () => boolean;
  /** After how long without a word of the broker it is told here, in milliseconds. */
  readonly patienceMs: number;
  /** The channels that have a port of their own. */
  readonly channels: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Health {
  /** Lists why no token could be served now; empty when it could. */
  obstacles(): Promise<readonly Obstacle[]>;
  /** Lists what is not as it should be although tokens are served. */
  troubles(): readonly Obstacle[];
  /** Whether it has been ready once. */
  started(): Promise<boolean>;
}

export function createHealth(options: HealthOptions): Health {
  const { svids, broker, tokens, subscription, draining, patienceMs, channels, now } = options;
  let hasBeenReady = false;

  const look = async (): Promise<readonly Obstacle[]> => {
    if (draining()) return [own('STOPPING')];
    if (channels.length > 0 && channels.every(tokens.holds)) return [];
    const svid = svids.current();
    if (svid && now() < svid.notAfter.getTime()) {
      if (await broker.connected(BROKER_WITHIN_MS)) return [];
      return [own('BROKER_UNREACHABLE')];
    }
    const problem = svids.problem();
    const cause = problem ? [{ code: problem.code, next: problem.next }] : [];
    return [own(svid ? 'IDENTITY_EXPIRED' : 'STARTING'), ...cause];
  };

  const obstacles = async () => {
    const found = await look();
    hasBeenReady ||= found.length === 0;
    return found;
  };

  return {
    obstacles,
    troubles() {
      const silence = subscription.silentFor(patienceMs);
      if (!silence) return [];
      const next = 'Changes are not heard of; tokens are checked with the broker at short intervals. The log says why.';
      return [{ code: silence.code, next: silence.next ?? next }];
    },
    started: async () => hasBeenReady || (await obstacles()).length === 0,
  };
}

function own(code: 'BROKER_UNREACHABLE' | 'IDENTITY_EXPIRED' | 'STARTING' | 'STOPPING'): Obstacle {
  return { code, next: errorTable[code].next };
}
