import { type Kysely, sql } from 'kysely';

/** Which workload may read the tokens of which channel. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table workload_access (
      spiffe_id  text not null,
      channel    text not null,
      tenant     text not null,
      reason     text not null,
      created_by text not null,
      created_at timestamptz not null,

      primary key (spiffe_id, channel),
      constraint workload_access_channel_fkey foreign key (tenant, channel) references channels (tenant, id),
      constraint workload_access_spiffe_id_is_one check (spiffe_id like 'spiffe://_%/_%')
    );

    create index workload_access_by_channel on workload_access (channel);

    comment on table workload_access is 'Which workload may read the tokens of which channel; nothing else may.';
    comment on column workload_access.spiffe_id is 'The one SPIFFE ID in the workload''s certificate.';
    comment on column workload_access.reason is 'Why, in the words of the admin who allowed it.';
  `.execute(db);
}
