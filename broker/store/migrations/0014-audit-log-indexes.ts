import { type Kysely, sql } from 'kysely';

/**
 * The record is read along its chains only, page by page, each page within so many places of a chain: two indexes served
 * nothing since then, and each release paid for them. Whether a record is written is asked seldom, and found by its
 * instant: an index that grows at its end costs a fraction of one on hashes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop index audit_log_by_tenant;
    drop index audit_log_by_channel;
    drop index audit_log_by_leaf;
    create index audit_log_by_time on audit_log (at);
  `.execute(db);
}
