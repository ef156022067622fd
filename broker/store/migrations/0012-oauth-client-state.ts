import { type Kysely, sql } from 'kysely';

/** OAuth clients can be switched off; which channels use one is looked up. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table oauth_clients add column disabled_at timestamptz;
    comment on column oauth_clients.disabled_at is
      'Since when it is switched off: no new consents and no refreshes with it; null where it is in use.';
    create index channels_by_oauth_client on channels (oauth_client);
  `.execute(db);
}
