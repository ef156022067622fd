/** One connection to PostgreSQL outside the pool, for LISTEN: it can be waited on, and be dropped whatever its state. */
import { Socket } from 'node:net';
import pg from 'pg';
import type { DatabaseOptions } from './database.ts';
import { translatePostgresError } from './postgres-error.ts';

export interface DedicatedConnection {
  /** Throws STORE_UNAVAILABLE. */
  open(): Promise<void>;
  /** Runs one statement; throws as `Database.run` does. */
  query<Row extends pg.QueryResultRow>(text: string, parameters?: readonly unknown[]): Promise<readonly Row[]>;
  onNotification(told: () => void): void;
  /** Rejects when the connection breaks; pending until then. */
  readonly broken: Promise<never>;
  /** Drops it at once. */
  drop(): void;
}

export function createDedicatedConnection({
  url,
  applicationName,
  connectTimeoutMs = 2_000,
  statementTimeoutMs = 5_000,
}: DatabaseOptions): DedicatedConnection {
  // Ours, so that it can be closed also where the server does not say good-bye.
  const socket = new Socket();
  const client = new pg.Client({
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    stream: () => socket,
    ...(statementTimeoutMs > 0 && { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 500 }),
  });
  const { promise: broken, reject } = Promise.withResolvers<never>();
  const breaks = (error: unknown) => reject(translatePostgresError(error));
  client.on('error', breaks);
  client.on('end', () => breaks(new Error('the connection has ended')));
  // It may break while nobody waits for that.
  broken.catch(() => {});

  const translated = <T>(promise: Promise<T>): Promise<T> =>
    promise.catch((error: unknown) => {
      throw translatePostgresError(error);
    });
  return {
    open: async () => void (await translated(client.connect())),
    query: async <Row extends pg.QueryResultRow>(text: string, parameters: readonly unknown[] = []) =>
      (await translated(client.query<Row>(text, [...parameters]))).rows,
    onNotification: (told) => void client.on('notification', told),
    broken,
    drop() {
      client.end().catch(() => {});
      socket.destroy();
    },
  };
}
