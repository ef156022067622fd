/**
 * Works on the jobs of deliveries by graphile-worker, on connections of its own, so that no delivery takes one from a
 * refresh. A connection that breaks is made again; where graphile-worker gives up all the same, it is started again. A
 * job that could not be marked as done stays behind, and its notification is known to be delivered: nothing is sent twice.
 */
import { EventEmitter, once } from 'node:events';
import { setTimeout as timer } from 'node:timers/promises';
import { Logger, runTaskList, type WorkerEvents } from 'graphile-worker';
import pg from 'pg';
import type { Notifications } from '../ports.ts';
import type { DatabaseOptions } from './database.ts';
import { deliveryTask, jobSchema } from './delivery-jobs.ts';

/** Jobs of now are told by PostgreSQL at once; only those of later are looked for. */
const lookEveryMs = 10_000;
const defaultStartAgainMs = 5_000;
/** Who is stopped does not wait longer: graphile-worker may be waiting for a database that says nothing. */
const defaultStopWithinMs = 5_000;

export function createDeliveryWorker(
  { url, applicationName }: DatabaseOptions,
  {
    startAgainMs = defaultStartAgainMs,
    stopWithinMs = defaultStopWithinMs,
  }: { readonly startAgainMs?: number; readonly stopWithinMs?: number } = {},
): Pick<Notifications, 'work'> {
  return {
    work(deliver, { concurrency, onFault }) {
      const stopping = new AbortController();
      const clients = new Set<pg.PoolClient>();
      const ended = (async () => {
        while (!stopping.signal.aborted) {
          await runOnce(deliver, concurrency, stopping.signal, clients, onFault).catch(onFault);
          await timer(startAgainMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        }
      })();
      return {
        async stop() {
          stopping.abort();
          const over = new AbortController();
          await Promise.race([ended, timer(stopWithinMs, undefined, { signal: over.signal }).catch(() => undefined)]);
          over.abort();
          // Whatever lingers ends with its connections, and nobody waits for it.
          for (const client of clients) void client.end().catch(() => undefined);
        },
      };
    },
  };

  /** Runs until it is stopped or fails. */
  async function runOnce(
    deliver: (id: string) => Promise<void>,
    concurrency: number,
    stopping: AbortSignal,
    clients: Set<pg.PoolClient>,
    onFault: (error: unknown) => void,
  ): Promise<void> {
    const pool = new pg.Pool({
      connectionString: url,
      application_name: `${applicationName} deliveries`,
      // One listens; the workers need one for moments only.
      max: 1 + concurrency,
      connectionTimeoutMillis: 2_000,
      keepAlive: true,
    });
    pool.on('error', () => {});
    pool.on('connect', (client) => {
      clients.add(client);
      client.on('error', () => {});
    });
    pool.on('remove', (client) => clients.delete(client));
    const events: WorkerEvents = new EventEmitter();
    // After such an error its own promise may never settle.
    const failed = once(events, 'pool:fatalError').then(([{ error }]) => Promise.reject(error));
    failed.catch(() => undefined);
    try {
      // Not `run`, which looks after plans of a calendar as well: there are none, and after a fault it would sleep for up to
      // a minute before it looked for them again, whoever waits for it to stop.
      const work = runTaskList(
        {
          schema: jobSchema,
          concurrency,
          pollInterval: lookEveryMs,
          noHandleSignals: true,
          events,
          logger: new Logger(() => () => {}),
          // Without a batch graphile-worker does not look at how the end of a job was written: a database that is away at
          // that moment would be an unhandled rejection, and the end of the broker.
          preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
        },
        {
          [deliveryTask]: async (payload) => {
            try {
              await deliver(idIn(payload));
            } catch (error) {
              onFault(error);
              throw error;
            }
          },
        },
        pool,
      );
      const stop = () => void Promise.resolve(work.gracefulShutdown()).catch(() => undefined);
      stopping.addEventListener('abort', stop, { once: true });
      if (stopping.aborted) stop();
      work.promise.catch(() => undefined);
      await Promise.race([work.promise, failed]);
    } finally {
      await pool.end();
    }
  }
}

function idIn(payload: unknown): string {
  const id = typeof payload === 'object' && payload !== null && 'id' in payload ? payload.id : undefined;
  return typeof id === 'string' ? id : '';
}
