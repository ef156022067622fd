import { type Kysely, sql } from 'kysely';

/**
 * What tells why a grant ended, and Google's security events: how Google names a refresh token, when it ends by itself,
 * which event was last told of it, whether its OAuth client is in testing, and which events were taken in already.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table oauth_clients
      add column publishing text not null default 'production',
      add constraint oauth_clients_publishing_is_known check (publishing in ('testing', 'production'));

    alter table channels
      add column refresh_token_prefix_hash text,
      add column refresh_token_expires_at  timestamptz,
      add column security_event            text,
      add column security_event_at         timestamptz,
      add constraint channels_security_event_is_whole check (num_nulls(security_event, security_event_at) in (0, 2)),
      add constraint channels_index_has_token check (
        refresh_token_encrypted is not null or num_nonnulls(refresh_token_prefix_hash, refresh_token_expires_at) = 0
      );
    create index channels_by_token_hash on channels (refresh_token_hash) where refresh_token_hash is not null;
    create index channels_by_token_prefix on channels (refresh_token_prefix_hash)
      where refresh_token_prefix_hash is not null;
    create index if not exists channels_by_google_subject on channels (google_subject) where google_subject is not null;

    alter table consents
      add column received_token_prefix_hash text,
      add column received_token_expires_at  timestamptz;

    create table security_events (
      jti         text primary key,
      types       text[] not null,
      issued_at   timestamptz not null,
      received_at timestamptz not null,

      constraint security_events_jti_is_bounded check (length(jti) between 1 and 256)
    );
    create index security_events_by_received_at on security_events (received_at);

    comment on column oauth_clients.publishing is
      'Publishing status at Google, as an operator said it: refresh tokens of one in testing end after seven days.';
    comment on column channels.refresh_token_prefix_hash is
      'SHA-256 of the first 16 characters of the refresh token: the other name that Google gives it in security events. Null until it was in clear once since there is this column.';
    comment on column channels.refresh_token_expires_at is
      'When the refresh token ends by itself, where Google said so (time-based access).';
    comment on column channels.security_event is
      'Type of the newest security event that concerns the present grant; null with a new one.';
    comment on column channels.security_event_at is 'When that happened, by Google''s clock.';
    comment on column consents.received_token_prefix_hash is 'As channels.refresh_token_prefix_hash.';
    comment on column consents.received_token_expires_at is 'As channels.refresh_token_expires_at.';
    comment on column audit_log.caller_kind is 'person, workload, owner (of a channel), scheduler, google or anonymous.';
    comment on table security_events is
      'Security events of Google that were taken in, so that none counts twice; kept for a bounded time. Says nothing of whom they concern.';
    comment on column security_events.types is 'Last parts of the event types.';
    comment on column security_events.issued_at is 'By Google''s clock.';
  `.execute(db);
}
