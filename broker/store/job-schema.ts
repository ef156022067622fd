/**
 * The schema of graphile-worker, migrated by the owner of the tables as ours is. The role of the running broker gets the
 * rights in `privileges.ts`: graphile-worker closes its tables by row-level security to all but their owner, so a policy
 * opens the rows to whoever has a right on the table.
 */
import { Logger, runMigrations } from 'graphile-worker';
import { type Kysely, sql } from 'kysely';
import pg from 'pg';
import { jobSchema } from './delivery-jobs.ts';
import type { Schema } from './schema.ts';

/** The newest migration of the graphile-worker that is installed; a test compares. */
export const jobRevision = 20;

// Any number will do: graphile-worker puts two that migrate at once in order only by the error of the second.
const JOBS_LOCK = 7_240_552;

const closedTables = `
  select format('%I.%I', nspname, relname) as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = $1 and relrowsecurity
      and not exists (select from pg_policy where polrelid = pg_class.oid and polname = 'by_rights')`;

/** Brings the schema to the installed graphile-worker's. */
export async function migrateJobs(url: string, applicationName: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, application_name: applicationName, max: 2 });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    const lock = await pool.connect();
    try {
      await lock.query('select pg_advisory_lock($1)', [JOBS_LOCK]);
      await runMigrations({
        pgPool: pool,
        schema: jobSchema,
        logger: new Logger(() => () => {}),
        noHandleSignals: true,
      });
      const { rows } = await lock.query<{ name: string }>(closedTables, [jobSchema]);
      for (const { name } of rows) {
        await lock.query(`create policy by_rights on ${name} using (true) with check (true)`);
      }
    } finally {
      lock.release(true);
    }
  } finally {
    await pool.end();
  }
}

/** Tells whether the schema is as new as the installed graphile-worker; false also where this role cannot see it. */
export async function jobsAreCurrent(db: Kysely<Schema>): Promise<boolean> {
  const { rows: visible } = await sql`
    select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
      where nspname = ${jobSchema} and relname = 'migrations'
        and has_schema_privilege(pg_namespace.oid, 'usage') and has_table_privilege(pg_class.oid, 'select')`.execute(
    db,
  );
  if (visible.length === 0) return false;
  const { rows } = await sql<{ newest: number | null }>`
    select max(id) as newest from graphile_worker.migrations`.execute(db);
  return (rows[0]?.newest ?? 0) >= jobRevision;
}
