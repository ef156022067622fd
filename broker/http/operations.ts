/**
 * The server for those who run the broker, on an address of its own: is it alive, can it serve, what does it count.
 * Alive is a fact about this process only.
 *
 * Ready means that tokens can be served: only what that needs makes it unavailable. Vault or Redis away is degraded, and
 * answered 200 all the same: were it 503, an orchestrator would take every replica away and with them the tokens that
 * could still be served.
 */
import express from 'express';
import { type Listening, listen } from './listen.ts';
import type { Log } from './log.ts';

/** Throws where the dependency does not answer as it should. */
export type Check = () => Promise<void>;

export interface Dependency {
  readonly check: Check;
  /** Whether nothing can be served without it. */
  readonly needed: boolean;
}

export interface OperationsDeps {
  /** By name; asked at the same time, each within the deadline. */
  readonly dependencies: Readonly<Record<string, Dependency>>;
  /** Answers the metrics in the Prometheus text format. */
  readonly metrics: () => Promise<string>;
  readonly deadlineMs: number;
  readonly log: Log;
}

/** Serves /livez, /readyz and /metrics. */
export function createOperationsServer(deps: OperationsDeps) {
  const { dependencies, metrics, deadlineMs, log } = deps;
  const tell = createTeller(log);
  const app = express().disable('x-powered-by').disable('etag');
  app.use((_request, response, next) => {
    response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    next();
  });

  app.get('/livez', (_request, response) => void response.json({ status: 'ok' }));

  app.get('/readyz', async (_request, response) => {
    const results = await Promise.all(
      Object.entries(dependencies).map(async ([name, { check, needed }]) => {
        const error = await within(deadlineMs, check);
        tell(name, error);
        return { name, needed, answer: error === undefined ? 'ok' : codeOf(error) };
      }),
    );
    const failed = results.filter(({ answer }) => answer !== 'ok');
    const unavailable = failed.some(({ needed }) => needed);
    response.status(unavailable ? 503 : 200).json({
      status: unavailable ? 'unavailable' : failed.length > 0 ? 'degraded' : 'ok',
      checks: Object.fromEntries(results.map(({ name, answer }) => [name, answer])),
    });
  });

  app.get('/metrics', async (_request, response) => {
    response.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics());
  });

  return { listen: (at: { host: string; port: number }): Promise<Listening> => listen(app, at) };
}

/** Logs a dependency that goes or comes back: once, however often it is asked about. */
function createTeller(log: Log) {
  /** name → the code that was told last */
  const away = new Map<string, string>();
  return (name: string, err: unknown): void => {
    const code = err === undefined ? undefined : codeOf(err);
    if (code === away.get(name)) return;
    if (code === undefined) {
      away.delete(name);
      log.info({ dependency: name }, 'dependency is back');
    } else {
      away.set(name, code);
      log.warn({ dependency: name, err }, 'dependency is away');
    }
  };
}

/** The error of a check; undefined where it passes in time. */
async function within(deadlineMs: number, check: Check): Promise<unknown> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer in time')), deadlineMs);
  try {
    await Promise.race([check(), promise]);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'NO_ANSWER';
}
