/**
 * The jobs that wake the delivery of notifications: one of graphile-worker for each notification that waits, in the same
 * transaction as what it is added for. The notification's row decides what is done; a job only says that it is time to
 * look, so one too many does nothing.
 */
import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

/** Where graphile-worker keeps its tables. */
export const jobSchema = 'graphile_worker';
/** What graphile-worker calls the kind of job. */
export const deliveryTask = 'deliver_notification';

/** Has the notification looked at in so many milliseconds, by the database's clock, instead of when it was to be before. */
export async function addDelivery(db: Kysely<Schema>, id: string, delayMs: number): Promise<void> {
  await sql`
    select from graphile_worker.add_job(
      ${deliveryTask}::text, json_build_object('id', ${id}::text), job_key => ${id}::text,
      run_at => now() + make_interval(secs => ${Math.max(0, delayMs) / 1000})
    )`.execute(db);
}

/** Has it looked at no more. */
export async function removeDelivery(db: Kysely<Schema>, id: string): Promise<void> {
  await sql`select from graphile_worker.remove_job(${id}::text)`.execute(db);
}
