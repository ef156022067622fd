/**
 * The connection to PostgreSQL. Everything that runs on it has a deadline, and every error leaves as a `BrokerError`.
 *
 * The deadlines are held twice: by the server (`statement_timeout`), which frees its locks, and here, because a server
 * that is frozen or behind a dead network path cannot hold one. A connection whose query got no answer is closed, never
 * used again; PostgreSQL rolls its transaction back.
 */
import { Kysely, PostgresDialect, type PostgresPool, sql, type Transaction } from 'kysely';
import pg from 'pg';
import { createDedicatedConnection, type DedicatedConnection } from './dedicated-connection.ts';
import { translatePostgresError } from './postgres-error.ts';
import type { Schema } from './schema.ts';

export interface DatabaseOptions {
  /** `postgres://…`; may hold a password and is never logged. */
  readonly url: string;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly poolSize?: number;
  /** How long to wait for a connection, in milliseconds. */
  readonly connectTimeoutMs?: number;
  /** How long one statement may take, in milliseconds; 0 for no limit (migrations). */
  readonly statementTimeoutMs?: number;
}

export interface Database {
  /** Runs one query, or several that need not agree. */
  run<T>(work: (db: Kysely<Schema>) => Promise<T>): Promise<T>;
  /** Runs all of `work` or nothing of it (read committed). */
  transaction<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /** Throws STORE_UNAVAILABLE where the database does not answer. */
  check(): Promise<void>;
  /** What it was made with: for what needs a pool of its own. */
  readonly options: DatabaseOptions;
  /** Makes a connection beside the pool, for what must not share one: LISTEN. Not open yet. */
  dedicated(): DedicatedConnection;
  close(): Promise<void>;
}

/** Opens nothing yet: the first query connects, and every later one reconnects where needed. */
export function createDatabase({
  url,
  applicationName,
  poolSize = 10,
  connectTimeoutMs = 2_000,
  statementTimeoutMs = 5_000,
}: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max: poolSize,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    ...(statementTimeoutMs > 0 && {
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: statementTimeoutMs,
      // A little later, so that a server that still works answers first.
      query_timeout: statementTimeoutMs + 500,
    }),
  });
  // A connection that breaks has left the pool already, and a query on it fails; unheard, the events would end the
  // process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: withoutSilentConnections(pool) }) });

  const translated = <T>(promise: Promise<T>): Promise<T> =>
    promise.catch((error: unknown) => {
      throw translatePostgresError(error);
    });
  const run: Database['run'] = (work) => translated(work(kysely));

  return {
    run,
    transaction: (work) => translated(kysely.transaction().execute(work)),
    check: () => run(async (db) => void (await sql`select 1`.execute(db))),
    options: { url, applicationName },
    dedicated: () => createDedicatedConnection({ url, applicationName, connectTimeoutMs, statementTimeoutMs }),
    close: () => kysely.destroy(),
  };
}

/**
 * `pg` gives a connection whose query timed out back to the pool, with the lost query still ahead of the next one. Here
 * a connection that failed in any way other than by an answer of the server is destroyed on release.
 */
function withoutSilentConnections(pool: pg.Pool): PostgresPool {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      let silent = false;
      const query = async (text: string, parameters: unknown[]) => {
        try {
          return await client.query(text, parameters);
        } catch (error) {
          silent ||= !(error instanceof pg.DatabaseError);
          throw error;
        }
      };
      const release = (destroy = false) => client.release(destroy || silent);
      return Object.create(client, { query: { value: query }, release: { value: release } });
    },
  };
}
