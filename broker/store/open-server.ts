/** The PostgreSQL server to use: the one that `DATABASE_URL` names, or one of the broker's own with both its roles. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import type { Secret } from '../domain/secret.ts';
import { startEmbeddedPostgres } from './embedded-postgres.ts';

export interface ServerSettings {
  /** Connects as the role of the running broker. */
  readonly databaseUrl?: Secret<string> | undefined;
  /** Where the broker's own PostgreSQL keeps its data when there is no `databaseUrl`. */
  readonly dataDirectory: string;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    debug(fields: object, message: string): void;
  };
}

/** Where the database is, and as whom to use it. */
export interface Server {
  /** As the running broker; may hold a password and is never logged. */
  readonly url: string;
  /** As the owner of the tables; undefined where that is not ours to know. */
  readonly ownerUrl: string | undefined;
  stop(): Promise<void>;
}

const runtimeRole = 'token_broker';

/** Starts our own server where there is no `databaseUrl`; it ends with `stop`, or with this process. */
export async function openServer({ databaseUrl, dataDirectory, log }: ServerSettings): Promise<Server> {
  if (databaseUrl) return { url: databaseUrl.reveal(), ownerUrl: undefined, stop: async () => {} };
  const directory = join(dataDirectory, 'postgres');
  log.warn(
    { directory },
    'DATABASE_URL is not set: keeping the record in a PostgreSQL of our own, for one replica only',
  );
  const server = await startEmbeddedPostgres({
    directory,
    durable: true,
    log: (line) => log.debug({ line }, 'postgres'),
  });
  try {
    const ownerUrl = server.url('postgres');
    return { url: await withRuntimeRole(ownerUrl), ownerUrl, stop: server.stop };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Makes the role of the running broker, with a password that is good for this run and written down nowhere. */
async function withRuntimeRole(ownerUrl: string): Promise<string> {
  const password = randomBytes(24).toString('base64url');
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [runtimeRole]);
    if (rowCount === 0) await client.query(`create role ${runtimeRole}`);
    await client.query(`alter role ${runtimeRole} login password ${pg.escapeLiteral(password)}`);
  } finally {
    await client.end();
  }
  const url = new URL(ownerUrl);
  url.username = runtimeRole;
  url.password = password;
  return url.href;
}

/** The role that a connection string names, as `pg` reads it: also from its parameters or the environment. */
export function roleOf(url: string): string {
  return new pg.Client({ connectionString: url }).user ?? '';
}
