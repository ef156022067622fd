/**
 * The server for those who run the broker, on an address of its own: is it alive, can it work, what does it count.
 * Alive is a fact about this process only; whether Vault, the database or the cache answer is readiness.
 */
import express from 'express';
import { type Listening, listen } from './listen.ts';
import type { Log } from './log.ts';

/** Throws where the dependency does not answer as it should. */
export type Check = () => Promise<void>;

export interface OperationsDeps {
  /** By name; asked at the same time, each within the deadline. */
  readonly checks: Readonly<Record<string, Check>>;
  /** Answers the metrics in the Prometheus text format. */
  readonly metrics: () => Promise<string>;
  readonly deadlineMs: number;
  readonly log: Log;
}

/** Serves /livez, /readyz and /metrics. */
export function createOperationsServer(deps: OperationsDeps) {
  const { checks, metrics, deadlineMs, log } = deps;
  const app = express().disable('x-powered-by').disable('etag');
  app.use((_request, response, next) => {
    response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    next();
  });

  app.get('/livez', (_request, response) => void response.json({ status: 'ok' }));

  app.get('/readyz', async (_request, response) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await within(deadlineMs, check)] as const),
    );
    const failed = results.filter(([, error]) => error !== undefined);
    for (const [name, err] of failed) log.warn({ dependency: name, err }, 'dependency is not ready');
    response.status(failed.length > 0 ? 503 : 200).json({
      status: failed.length > 0 ? 'unavailable' : 'ok',
      checks: Object.fromEntries(results.map(([name, error]) => [name, error === undefined ? 'ok' : codeOf(error)])),
    });
  });

  app.get('/metrics', async (_request, response) => {
    response.type('text/plain; version=0.0.4; charset=utf-8').send(await metrics());
  });

  return { listen: (at: { host: string; port: number }): Promise<Listening> => listen(app, at) };
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
