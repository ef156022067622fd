import { type Kysely, sql } from 'kysely';

/**
 * A channel that ended because its Google account was disabled is asked about again when Google says that the account is
 * enabled. And: the retention deletes notifications that were told long ago, and finds them by an index.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table channels add column wake_at timestamptz;
    create index channels_to_wake on channels (wake_at) where wake_at is not null;
    comment on column channels.wake_at is
      'When its grant, which ended with its Google account, is asked about next, because the account was enabled again; null for not.';

    create index notifications_by_end on notifications (coalesce(ended_at, at));
  `.execute(db);
}
