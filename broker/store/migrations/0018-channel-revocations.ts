import { type Kysely, sql } from 'kysely';

/** Channels that are revoked: what Google is to be told, until it is known what became of it, and who else ends with it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table channel_revocations (
      channel       text primary key,
      tenant        text not null,
      generation    integer not null,
      accepted      text[] not null,
      requested_at  timestamptz not null,
      outcome       text,
      answered_at   timestamptz,
      attempts      integer not null default 0,
      due_at        timestamptz not null,
      claimed_until timestamptz,
      proofs        integer not null default 0,
      prove_at      timestamptz,

      constraint channel_revocations_of_channel foreign key (tenant, channel) references channels (tenant, id),
      constraint channel_revocations_outcome_is_known check (outcome in
        ('revoked', 'already_invalid', 'kept_for_sibling', 'unreadable')),
      constraint channel_revocations_outcome_has_time check (outcome is null or answered_at is not null),
      constraint channel_revocations_proves_after_answer check (prove_at is null or outcome is not null),
      constraint channel_revocations_count_up check (attempts >= 0 and proofs >= 0 and generation > 0)
    );
    create index channel_revocations_due on channel_revocations (due_at) where outcome is null;
    create index channel_revocations_to_prove on channel_revocations (prove_at) where prove_at is not null;

    create table revoke_links (
      channel    text primary key,
      tenant     text not null,
      link_hash  text not null unique,
      created_by text not null,
      created_at timestamptz not null,
      expires_at timestamptz not null,

      constraint revoke_links_of_channel foreign key (tenant, channel) references channels (tenant, id)
    );

    comment on table channel_revocations is
      'Revoked channels whose grant is, or was, to be taken back at Google. Written before Google is asked.';
    comment on column channel_revocations.generation is 'Of the grant that is taken back.';
    comment on column channel_revocations.accepted is
      'Grants (channel:generation) that end with it and that somebody has accepted to end; nothing is sent while another would.';
    comment on column channel_revocations.outcome is 'What became of it at Google; null while that is not known.';
    comment on column channel_revocations.answered_at is 'When that became known; kept where a newer token opens it again.';
    comment on column channel_revocations.attempts is 'Counted before Google is asked: whoever reports names it, so that a slow broker changes nothing.';
    comment on column channel_revocations.due_at is 'When Google is asked next.';
    comment on column channel_revocations.claimed_until is 'A broker is asking Google and has until then.';
    comment on column channel_revocations.proofs is 'How often the siblings have been made due since the answer.';
    comment on column channel_revocations.prove_at is 'When they are made due next; null where they have been often enough.';
    comment on table revoke_links is 'One-time links by which an owner disconnects a channel: one for each channel, the newest.';
    comment on column revoke_links.link_hash is 'Base64url SHA-256 of the secret in the link.';
  `.execute(db);
}
