import { type Kysely, sql } from 'kysely';

/**
 * The due queue by OAuth client and region, who holds a claim, when a channel was used and is to be proven, and which
 * brokers there are.
 *
 * One index serves the queue. A claim touches no indexed column, so that PostgreSQL writes it within the row's page
 * (HOT); a claimed row stays at its place in the index and is passed over there.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table channels
      add column claimed_by   text,
      add column awaited      boolean not null default false,
      -- Of channels that are there already it is not known: they count as used now, which later falls away.
      add column last_used_at timestamptz default now(),
      add column proof_due_at timestamptz;
    alter table channels alter column last_used_at drop default;

    drop index channels_due;
    drop index channels_claimed;
    create index channels_due on channels (oauth_client, region, refresh_due_at) where state = 'active';

    create function tell_refresh_over() returns trigger language plpgsql as $$
    begin
      insert into outbox (kind, tenant, channel) values ('channel.refreshed', new.tenant, new.id);
      notify outbox;
      return null;
    end
    $$;
    create trigger channels_tell_refresh_over after update on channels for each row
      when (old.awaited and not new.awaited)
      execute function tell_refresh_over();
    alter table channels enable always trigger channels_tell_refresh_over;

    create table broker_replicas (
      id         text primary key,
      regions    text[],
      version    text not null,
      started_at timestamptz not null default now(),
      seen_at    timestamptz not null default now(),
      stopped_at timestamptz
    );

    comment on column channels.claimed_by is 'The replica that has claimed it, or had.';
    comment on column channels.awaited is
      'A reader at another replica waits for the refresh that runs: its end is told by the outbox.';
    comment on column channels.last_used_at is
      'When a workload last read or watched it, or its owner consented; written at most once an hour by each replica.';
    comment on column channels.proof_due_at is
      'When its grant is to be proven next, with the first refresh after that; null for with the next one.';
    comment on column outbox.kind is
      'channel.changed, channel.deleted, channel.refreshed, access.changed or everything.changed.';
    comment on table broker_replicas is 'Brokers that run, or ran in the last day: a row each, touched every ten seconds.';
    comment on column broker_replicas.id is 'Host name and a random part; another one after each start.';
    comment on column broker_replicas.regions is 'The regions that it was given; null for every region.';
    comment on column broker_replicas.seen_at is 'Its last sign of life, by the database''s clock.';
    comment on column broker_replicas.stopped_at is 'When it said that it stops; null while it runs, or where it was killed.';
  `.execute(db);
}
