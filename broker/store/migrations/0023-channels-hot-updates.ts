import { type Kysely, sql } from 'kysely';

/**
 * Rewrapping changes a channel's ciphertext and nothing that an index needs to know: with room left on each page the new
 * version of the row stays on it, and no index is touched (PostgreSQL, "Heap-Only Tuples"). An index on the key version
 * would undo that, so counting and rewrapping go along the tenant's channels instead. No index of this table may
 * name `refresh_token_encrypted` or `refresh_token_key_version`, not even in its condition.
 *
 * Pages that are full already get their room when their rows are next written, or by VACUUM FULL.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop index channels_by_key_version;
    -- channels_by_last_refresh begins with the same column.
    drop index channels_by_oauth_client;
    create index channels_of_tenant on channels (tenant, id);
    alter table channels set (fillfactor = 45);
  `.execute(db);
}
