import { type Kysely, sql } from 'kysely';

/** Channels: what admins see, the grant behind each, and the due queue of the refreshes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table channels (
      id                      text primary key,
      tenant                  text not null references tenants (name),
      name                    text not null,
      region                  text not null,
      oauth_client            text not null references oauth_clients (name),
      state                   text not null,
      reason                  text not null,
      owner                   text not null,
      admins                  text[] not null,
      requested_scopes        text[] not null,

      generation              integer not null,
      refresh_token_encrypted text,
      refresh_token_hash      text,
      dpop_key_version        integer,
      scopes                  text[],
      consented_at            timestamptz,

      google_subject          text,
      youtube_channel_id      text,
      youtube_title           text,

      access_token_cache_key  text,
      token_expiry            timestamptz,
      last_refresh            timestamptz,
      refresh_due_at          timestamptz,
      refresh_failures        integer not null,
      last_failure            text,
      claimed_until           timestamptz,
      claim_fence             integer not null default 0,

      created_at              timestamptz not null,
      updated_at              timestamptz not null,

      constraint channels_name_is_unique unique (tenant, name),
      constraint channels_id_in_tenant unique (tenant, id),
      constraint channels_state_is_known check (
        state in ('pending_consent', 'active', 'needs_reconsent', 'blocked', 'suspended', 'revoked')
      ),
      constraint channels_generation_counts_up check (generation >= 0),
      constraint channels_failures_count_up check (refresh_failures >= 0),
      constraint channels_refresh_token_is_ciphertext check (refresh_token_encrypted like 'vault:v%'),
      constraint channels_grant_is_whole check (
        num_nulls(refresh_token_encrypted, refresh_token_hash, scopes, consented_at) in (0, 4)
      ),
      constraint channels_identity_is_whole check (
        num_nulls(google_subject, youtube_channel_id, youtube_title) in (0, 3)
      ),
      constraint channels_grant_is_pinned check (
        refresh_token_encrypted is null or (google_subject is not null and generation > 0)
      ),
      constraint channels_active_has_grant check (state <> 'active' or refresh_token_encrypted is not null)
    );

    create index channels_due on channels (refresh_due_at) where state = 'active';
    create index channels_claimed on channels (claimed_until) where state = 'active' and claimed_until is not null;

    comment on table channels is
      'One row for each YouTube channel: its state, the grant behind it as ciphertext, and when it is refreshed next.';
    comment on column channels.name is 'The admin''s name for it; unique within the tenant.';
    comment on column channels.oauth_client is 'The OAuth client that its consents are asked with.';
    comment on column channels.reason is 'Reason code of the present state.';
    comment on column channels.owner is 'Subject, at the identity provider, of the person who owns the channel here.';
    comment on column channels.admins is 'Principals (user:SUBJECT, group:NAME) who may act on it besides the owner.';
    comment on column channels.requested_scopes is 'Scopes that the owner is asked for.';
    comment on column channels.generation is
      '0 before the first consent; rises with each that brings a refresh token. Part of the encryption context.';
    comment on column channels.refresh_token_encrypted is
      'Vault transit ciphertext (vault:vN:...) under the tenant''s key, bound to tenant, channel and generation.';
    comment on column channels.refresh_token_hash is
      'Base64 of SHA-512 of SHA-512 of the refresh token: how Google names it in security events.';
    comment on column channels.dpop_key_version is
      'Transit key version that the refresh token is bound to; null where it is not bound.';
    comment on column channels.scopes is 'Scopes that the owner granted.';
    comment on column channels.google_subject is
      'Google''s sub of the identity that consented; with youtube_channel_id it is kept for good: no other may follow.';
    comment on column channels.access_token_cache_key is 'Key of the newest access token in the cache.';
    comment on column channels.token_expiry is 'When the newest access token expires.';
    comment on column channels.last_refresh is 'When a refresh last succeeded.';
    comment on column channels.refresh_due_at is 'When it is refreshed next; the due queue is this column.';
    comment on column channels.refresh_failures is 'Failures in a row since the last success.';
    comment on column channels.last_failure is 'Class of the last failure; null after a success.';
    comment on column channels.claimed_until is 'A broker is refreshing it and has until then; null where none is.';
    comment on column channels.claim_fence is 'Rises with each claim: a broker that was too slow cannot write.';
  `.execute(db);
}
