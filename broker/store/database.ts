/**
 * The connection to PostgreSQL. Everything that runs on it has a deadline, and every error leaves as a `BrokerError`.
 *
 * The deadlines are held twice: by the server (`statement_timeout`), which frees its locks, and here, because a server
 * that is frozen or behind a dead network path cannot hold one. A connection whose query got no answer is closed, never
 * used again; PostgreSQL rolls its transaction back.
 */
import {
  Kysely,
  PostgresDialect,
  type PostgresPool,
  type QueryResult,
  type RawBuilder,
  sql,
  type Transaction,
} from 'kysely';
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
  /**
   * Runs a statement that comes so often that planning it would be felt: PostgreSQL parses and plans it once for each
   * connection. For texts of which there are few, because all of them are kept; they name their columns, never `*`.
   */
  prepared<Row>(statement: RawBuilder<Row>): Promise<QueryResult<Row>>;
  /** Runs all of `work` or nothing of it (read committed). */
  transaction<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T>;
  /**
   * Answers what many queries find as of one instant (repeatable read), for a reader that takes its time: on connections of
   * their own, few, so that slow readers take none from the others. Throws STORE_UNAVAILABLE where all are taken, and where
   * the reader takes nothing for a minute.
   */
  snapshot<T>(read: (db: Kysely<Schema>) => AsyncIterable<T>): AsyncGenerator<T>;
  /** Throws STORE_UNAVAILABLE where the database does not answer. */
  check(): Promise<void>;
  /** What it was made with: for what needs a pool of its own. */
  readonly options: DatabaseOptions;
  /** Makes a connection beside the pool, for what must not share one: LISTEN. Not open yet. */
  dedicated(): DedicatedConnection;
  close(): Promise<void>;
}

/** How many snapshots are read at the same time, and how long a reader may take nothing of one. */
const mostReaders = 3;
const readersPatienceMs = 60_000;

/** Opens nothing yet: the first query connects, and every later one reconnects where needed. */
export function createDatabase({
  url,
  applicationName,
  poolSize = 10,
  connectTimeoutMs = 2_000,
  statementTimeoutMs = 5_000,
}: DatabaseOptions): Database {
  /** text → name of those that are prepared */
  const names = new Map<string, string>();
  const kysely = connect(poolSize, statementTimeoutMs);
  const readers = connect(mostReaders, readersPatienceMs);

  function connect(most: number, idleTimeoutMs: number): Kysely<Schema> {
    const pool = new pg.Pool({
      connectionString: url,
      application_name: applicationName,
      max: most,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      ...(statementTimeoutMs > 0 && {
        statement_timeout: statementTimeoutMs,
        idle_in_transaction_session_timeout: idleTimeoutMs,
        // A little later, so that a server that still works answers first.
        query_timeout: statementTimeoutMs + 500,
      }),
    });
    // A connection that breaks has left the pool already, and a query on it fails; unheard, the events would end the
    // process.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    return new Kysely<Schema>({ dialect: new PostgresDialect({ pool: withoutSilentConnections(pool, names) }) });
  }

  const translated = <T>(promise: Promise<T>): Promise<T> =>
    promise.catch((error: unknown) => {
      throw translatePostgresError(error);
    });
  const run: Database['run'] = (work) => translated(work(kysely));

  return {
    run,
    prepared: (statement) =>
      run((db) => {
        const compiled = statement.compile(db);
        if (!names.has(compiled.sql)) names.set(compiled.sql, `prepared-${names.size + 1}`);
        return db.executeQuery(compiled);
      }),
    transaction: (work) => translated(kysely.transaction().execute(work)),
    async *snapshot(read) {
      const begin = readers.startTransaction().setIsolationLevel('repeatable read').setAccessMode('read only');
      const trx = await translated(begin.execute());
      try {
        yield* read(trx);
      } catch (error) {
        throw translatePostgresError(error);
      } finally {
        // Also where the reader has had enough. A connection that is lost has nothing left to roll back.
        await trx
          .rollback()
          .execute()
          .catch(() => undefined);
      }
    },
    check: () => run(async (db) => void (await sql`select 1`.execute(db))),
    options: { url, applicationName },
    dedicated: () => createDedicatedConnection({ url, applicationName, connectTimeoutMs, statementTimeoutMs }),
    close: async () => void (await Promise.all([kysely.destroy(), readers.destroy()])),
  };
}

/**
 * `pg` gives a connection whose query timed out back to the pool, with the lost query still ahead of the next one. Here
 * a connection that failed in any way other than by an answer of the server is destroyed on release.
 */
function withoutSilentConnections(pool: pg.Pool, names: ReadonlyMap<string, string>): PostgresPool {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      let silent = false;
      const query = async (text: string, parameters: unknown[]) => {
        try {
          const name = names.get(text);
          return await client.query({ text, ...(name !== undefined && { name }) }, parameters);
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
