import { type Kysely, sql } from 'kysely';

/**
 * The trouble of OAuth clients. At most one incident of a kind is open for a client, whichever replica finds it; grants
 * that Google calls dead are counted here, over all replicas, before one of them is believed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table oauth_client_incidents (
      id             bigint generated always as identity primary key,
      oauth_client   text not null references oauth_clients (name),
      kind           text not null constraint oauth_client_incidents_kind check (kind in ('client_rejected', 'mass_invalid_grant')),
      opened_at      timestamptz not null,
      error          text not null,
      ended_at       timestamptz,
      ended_by       text,
      ending         text constraint oauth_client_incidents_ending check (ending in ('recovered', 'thawed', 'believed')),
      believed_until timestamptz,
      constraint oauth_client_incidents_end_is_whole check (num_nonnulls(ended_at, ended_by, ending) in (0, 3)),
      constraint oauth_client_incidents_belief check (believed_until is null or ending = 'believed')
    );
    create unique index oauth_client_incidents_one_open on oauth_client_incidents (oauth_client, kind) where ended_at is null;

    create table oauth_client_suspicions (
      channel      text not null references channels (id),
      generation   integer not null,
      kind         text not null constraint oauth_client_suspicions_kind check (kind in ('client_rejected', 'mass_invalid_grant')),
      oauth_client text not null references oauth_clients (name),
      error        text not null,
      first_at     timestamptz not null,
      last_at      timestamptz not null,
      times        integer not null constraint oauth_client_suspicions_times check (times > 0),
      believed     boolean not null,
      recovered    boolean not null default false,
      incident     bigint references oauth_client_incidents (id),
      primary key (channel, generation, kind)
    );
    create index oauth_client_suspicions_newest on oauth_client_suspicions (oauth_client, kind, first_at);
    create index oauth_client_suspicions_of_incident on oauth_client_suspicions (incident) where incident is not null;
    create index channels_by_last_refresh on channels (oauth_client, last_refresh);

    comment on table oauth_client_incidents is 'What is wrong with an OAuth client of ours and with no channel; one of a kind open at a time.';
    comment on column oauth_client_incidents.error is 'The code that Google answered when it was opened.';
    comment on column oauth_client_incidents.ended_by is 'A person, or the scheduler where a success ended it.';
    comment on column oauth_client_incidents.believed_until is 'Until then what Google says of the client''s grants is believed, because a person said so.';
    comment on table oauth_client_suspicions is 'Answers of Google that may be an OAuth client''s trouble and not the channel''s; deleted when it is clear.';
    comment on column oauth_client_suspicions.first_at is 'When Google answered so first; the window is counted from it.';
    comment on column oauth_client_suspicions.believed is 'Whether it was taken for the channel''s own: then the channel''s state was changed.';
    comment on column oauth_client_suspicions.recovered is 'Whether the channel has been refreshed since.';
  `.execute(db);
}
