/** `/livez`, `/readyz`, `/startupz` and `/metrics`. Nothing here is secret; no token is given by this port. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createAnswer, sendAnswer } from '../endpoints/answer.ts';
import { refusalOf } from '../endpoints/local-request.ts';
import { errorTable } from '../errors.ts';
import type { Health } from './health.ts';
import type { Metrics } from './metrics.ts';

export interface OperationsOptions {
  readonly health: Health;
  readonly metrics: Pick<Metrics, 'text'>;
  /** Whether it listens on loopback alone: then the name it is called by must be one of loopback. */
  readonly local: boolean;
}

/** Makes the listener, given the names under which it may be called. */
export function createOperationsEndpoint({ health, metrics, local }: OperationsOptions) {
  const routes: Readonly<Record<string, (response: ServerResponse) => unknown>> = {
    '/livez': (response) => say(response, 200, { live: true }),
    async '/readyz'(response) {
      const obstacles = await health.obstacles();
      const ready = obstacles.length === 0;
      say(response, ready ? 200 : 503, { ready, obstacles, degraded: health.troubles() });
    },
    async '/startupz'(response) {
      const started = await health.started();
      say(response, started ? 200 : 503, { started });
    },
    async '/metrics'(response) {
      const type = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' };
      sendAnswer(response, 200, createAnswer(type, await metrics.text()));
    },
  };

  return (hosts: ReadonlySet<string>): RequestListener =>
    (request, response) => {
      const refusal = refusalOf(request, { hosts: local ? hosts : nameOf(request), header: undefined });
      if (refusal) return say(response, errorTable[refusal].http, { error: refusal });
      const route = routes[request.url?.replace(/\?.*/s, '') ?? ''];
      if (!route) return say(response, 404, { error: 'NOT_FOUND' });
      void Promise.try(route, response).catch(() => say(response, 500, { error: 'INTERNAL' }));
    };
}

/** Any name will do where a probe or a collector comes from another machine. */
function nameOf({ headers }: IncomingMessage): ReadonlySet<string> {
  return new Set([headers.host?.toLowerCase() ?? '']);
}

function say(response: ServerResponse, status: number, body: object): void {
  sendAnswer(response, status, createAnswer({ 'Content-Type': 'application/json' }, `${JSON.stringify(body)}\n`));
}
