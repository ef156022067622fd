/**
 * Whether the sidecar lives, and whether it can serve. Ready means: its certificate is in force and the broker accepts
 * it; or, with channels of its own, that a token of each of them is in memory.
 */
import type { RequestListener } from 'node:http';
import type { BrokerClient } from './broker-client.ts';
import { createAnswer, sendAnswer } from './endpoints/answer.ts';
import { refusalOf } from './endpoints/local-request.ts';
import { errorTable, sidecarError } from './errors.ts';
import type { Subscription } from './subscription.ts';
import type { SvidSource } from './svid-source.ts';
import type { TokenSource } from './token-source.ts';

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
  /** After how long without a word of the broker it is told here, in milliseconds. */
  readonly patienceMs: number;
  /** The channels that have a port of their own. */
  readonly channels: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Makes the listener of `/livez` and `/readyz`, given the names under which it may be called. */
export function createHealthEndpoint(options: HealthOptions) {
  return (hosts: ReadonlySet<string>): RequestListener =>
    (request, response) => {
      const refusal = refusalOf(request, { hosts, header: undefined });
      const say = (status: number, body: object) =>
        sendAnswer(response, status, createAnswer({ 'Content-Type': 'application/json' }, `${JSON.stringify(body)}\n`));
      if (refusal) return say(sidecarError(refusal).http, { error: refusal });
      if (request.url === '/livez') return say(200, { live: true });
      if (request.url !== '/readyz') return say(404, { error: 'NOT_FOUND' });
      void obstacles(options).then((found) =>
        say(found.length === 0 ? 200 : 503, {
          ready: found.length === 0,
          obstacles: found,
          degraded: troubles(options),
        }),
      );
    };
}

/** Lists why no token could be served now; empty when it could. */
export async function obstacles({ svids, broker, tokens, channels, now }: HealthOptions): Promise<readonly Obstacle[]> {
  if (channels.length > 0 && channels.every(tokens.holds)) return [];
  const svid = svids.current();
  if (svid && now() < svid.notAfter.getTime())
    return (await broker.connected(BROKER_WITHIN_MS)) ? [] : [own('BROKER_UNREACHABLE')];
  const problem = svids.problem();
  const cause = problem ? [{ code: problem.code, next: problem.next }] : [];
  return [own(svid ? 'IDENTITY_EXPIRED' : 'STARTING'), ...cause];
}

/** Lists what is not as it should be although tokens are served. */
function troubles({ subscription, patienceMs }: HealthOptions): readonly Obstacle[] {
  const silence = subscription.silentFor(patienceMs);
  if (!silence) return [];
  const next = 'Changes are not heard of; tokens are checked with the broker at short intervals. The log says why.';
  return [{ code: silence.code, next: silence.next ?? next }];
}

function own(code: 'BROKER_UNREACHABLE' | 'IDENTITY_EXPIRED' | 'STARTING'): Obstacle {
  return { code, next: errorTable[code].next };
}
