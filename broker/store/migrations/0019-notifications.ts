import { type Kysely, sql } from 'kysely';

/**
 * Notifications: what people outside are told, each once. Written in the transaction of the change, under an id that is
 * made of what it tells of; delivered by jobs of graphile-worker, which has a schema of its own beside this one.
 *
 * `channels_by_google_identity` serves the count of live grants of one Google identity with one OAuth client.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table notifications (
      id               text primary key,
      type             text not null,
      occasion         text not null,
      at               timestamptz not null,
      tenant           text references tenants (name),
      channel          text references channels (id),
      generation       integer,
      oauth_client     text references oauth_clients (name),
      facts            jsonb not null default '{}',

      state            text not null default 'waiting',
      attempts         integer not null default 0,
      due_at           timestamptz not null,
      claimed_until    timestamptz,
      first_attempt_at timestamptz,
      last_attempt_at  timestamptz,
      last_problem     text,
      ended_at         timestamptz,

      constraint notifications_id_is_ours check (id ~ '^nt_[0-9a-hjkmnp-tv-z]{26}$'),
      constraint notifications_state_is_known check (state in ('waiting', 'delivered', 'dead', 'superseded')),
      constraint notifications_facts_is_object check (jsonb_typeof(facts) = 'object'),
      constraint notifications_is_about_something check (num_nonnulls(channel, oauth_client) > 0),
      constraint notifications_channel_has_tenant check (channel is null or tenant is not null),
      constraint notifications_end_when_not_waiting check ((state = 'waiting') = (ended_at is null)),
      constraint notifications_claim_while_waiting check (claimed_until is null or state = 'waiting')
    );
    create index notifications_by_at on notifications (at desc, id);
    create index notifications_by_channel on notifications (channel) where channel is not null;
    create index notifications_due on notifications (due_at) where state = 'waiting';

    create index channels_by_google_identity on channels (oauth_client, google_subject, consented_at)
      where state in ('active', 'suspended');

    comment on table notifications is
      'What people outside are told by the webhook, each once; holds no link and no secret: links are made at delivery.';
    comment on column notifications.id is 'Made of type, channel, generation, OAuth client and occasion; on each delivery the same (webhook-id).';
    comment on column notifications.occasion is 'Tells two of one type about one thing apart: an instant, or a kind.';
    comment on column notifications.generation is 'The grant of the channel that it is about.';
    comment on column notifications.facts is 'Reasons and figures, as they are delivered.';
    comment on column notifications.state is 'waiting, delivered, dead (the receiver never took it) or superseded (true no more).';
    comment on column notifications.attempts is 'Tries since it was written or sent again; the newest one is the fence of its claim.';
    comment on column notifications.due_at is 'When it is tried next, by the brokers'' clock.';
    comment on column notifications.first_attempt_at is 'Since when it is tried: after some days of that it is dead.';
    comment on column notifications.last_problem is 'Why the last try failed: a code, never what the receiver said.';
  `.execute(db);
}
