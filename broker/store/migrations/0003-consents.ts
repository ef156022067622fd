import { type Kysely, sql } from 'kysely';

/** Consents: the link, the newest authorization request, and what was received until its checks are done. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table consents (
      id                        text primary key,
      tenant                    text not null,
      channel                   text not null,
      oauth_client              text not null references oauth_clients (name),
      link_hash                 text not null,
      link_expires_at           timestamptz not null,
      status                    text not null,
      failure                   text,
      failed_at                 timestamptz,
      completed_at              timestamptz,
      created_by                text not null,
      created_at                timestamptz not null,

      state_hash                text,
      browser_hash              text,
      code_verifier_encrypted   text,
      nonce                     text,
      started_at                timestamptz,
      request_expires_at        timestamptz,
      taken_at                  timestamptz,

      received_generation       integer,
      received_token_encrypted  text,
      received_token_hash       text,
      received_dpop_key_version integer,
      received_scopes           text[],
      received_at               timestamptz,

      constraint consents_channel_fkey foreign key (tenant, channel) references channels (tenant, id),
      constraint consents_link_is_unique unique (link_hash),
      constraint consents_state_is_unique unique (state_hash),
      constraint consents_status_is_known check (status in ('pending', 'received', 'completed')),
      constraint consents_completed_has_time check ((status = 'completed') = (completed_at is not null)),
      constraint consents_failure_has_time check ((failure is null) = (failed_at is null)),
      constraint consents_request_is_whole check (
        num_nulls(state_hash, browser_hash, nonce, started_at, request_expires_at) in (0, 5)
      ),
      constraint consents_verifier_is_ciphertext check (code_verifier_encrypted like 'vault:v%'),
      constraint consents_verifier_is_used_once check (code_verifier_encrypted is null or taken_at is null),
      constraint consents_received_token_is_ciphertext check (received_token_encrypted like 'vault:v%'),
      constraint consents_received_is_whole check (
        num_nulls(received_generation, received_token_encrypted, received_token_hash, received_scopes, received_at)
          = case status when 'received' then 0 else 5 end
      )
    );

    create index consents_by_channel on consents (channel);
    create index consents_unfinished on consents (received_at) where status = 'received';

    comment on table consents is 'Invitations to channel owners, and what became of each.';
    comment on column consents.link_hash is 'Base64url SHA-256 of the secret in the link; the link itself is not stored.';
    comment on column consents.status is
      'pending: the owner has not decided. received: a refresh token is stored, its checks are not finished. completed.';
    comment on column consents.failure is 'How the newest request failed; the link stays usable.';
    comment on column consents.state_hash is 'Base64url SHA-256 of the state of the newest authorization request.';
    comment on column consents.browser_hash is 'Base64url SHA-256 of the cookie that binds the request to one browser.';
    comment on column consents.code_verifier_encrypted is
      'Vault transit ciphertext of the PKCE verifier; deleted when the state is taken.';
    comment on column consents.taken_at is 'When the state came back; it is taken once.';
    comment on column consents.received_token_encrypted is
      'Vault transit ciphertext of a refresh token whose checks are not finished; then it moves to channels or is deleted.';
    comment on column consents.received_generation is 'The generation that the ciphertext is bound to.';
  `.execute(db);
}
