import { type Kysely, sql } from 'kysely';

/**
 * What the life of a channel never does, held by the database whoever writes: it stays what and whose it is, its state
 * follows `nextStates` of the domain, generation and fence never fall, its pinned identity is never replaced.
 *
 * One grant for each channel needs no rule: the row is the grant. The same YouTube channel may be there twice in a tenant,
 * on purpose: once for each of two OAuth clients, each with a grant of its own.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table channels
      add column state_changed_at timestamptz,
      add column scrubbed_at      timestamptz;
    update channels set state_changed_at = updated_at;
    alter table channels
      alter column state_changed_at set not null,
      drop constraint channels_refresh_token_is_ciphertext,
      add constraint channels_refresh_token_is_ciphertext check (refresh_token_encrypted ~ '^vault:v[1-9][0-9]*:[^[:space:]]+$'),
      add constraint channels_fence_counts_up check (claim_fence >= 0),
      add constraint channels_scrubbed_is_empty check (
        scrubbed_at is null or (
          state in ('revoked', 'needs_reconsent')
          and num_nonnulls(
            refresh_token_encrypted, dpop_key_version, google_subject, access_token_cache_key, token_expiry, refresh_due_at
          ) = 0
        )
      ),
      drop constraint channels_name_is_unique;
    create unique index channels_name_is_unique on channels (tenant, name) where state <> 'revoked';
    create index channels_to_scrub on channels (state_changed_at)
      where scrubbed_at is null and state in ('revoked', 'needs_reconsent');

    alter table consents
      drop constraint consents_verifier_is_ciphertext,
      add constraint consents_verifier_is_ciphertext check (code_verifier_encrypted ~ '^vault:v[1-9][0-9]*:[^[:space:]]+$'),
      drop constraint consents_received_token_is_ciphertext,
      add constraint consents_received_token_is_ciphertext check (received_token_encrypted ~ '^vault:v[1-9][0-9]*:[^[:space:]]+$');
    create index consents_requests_to_end on consents (request_expires_at) where state_hash is not null;
    create index consents_ended on consents (coalesce(completed_at, link_expires_at)) where status <> 'received';

    create function date_channel_state() returns trigger language plpgsql as $$
    begin
      new.state_changed_at := new.updated_at;
      return new;
    end
    $$;
    create trigger channels_date_state before insert on channels for each row execute function date_channel_state();

    create function refuse_channel_change(broken text) returns void language plpgsql as $$
    begin
      raise exception 'channels: refused by %', broken
        using errcode = 'check_violation', table = 'channels', constraint = broken;
    end
    $$;
    create function hold_channel() returns trigger language plpgsql as $$
    begin
      if (new.id, new.tenant, new.created_at) is distinct from (old.id, old.tenant, old.created_at) then
        perform refuse_channel_change('channels_row_stays');
      end if;
      if new.generation < old.generation then
        perform refuse_channel_change('channels_generation_never_falls');
      end if;
      if new.claim_fence < old.claim_fence then
        perform refuse_channel_change('channels_fence_never_falls');
      end if;
      if new.scrubbed_at is null and (
        new.google_subject is distinct from coalesce(old.google_subject, new.google_subject)
        or new.youtube_channel_id is distinct from coalesce(old.youtube_channel_id, new.youtube_channel_id)
      ) then
        perform refuse_channel_change('channels_identity_stays');
      end if;
      new.state_changed_at := old.state_changed_at;
      if new.state <> old.state then
        if (old.state, new.state) not in (
          ('pending_consent', 'active'), ('pending_consent', 'revoked'),
          ('active', 'needs_reconsent'), ('active', 'blocked'), ('active', 'suspended'), ('active', 'revoked'),
          ('needs_reconsent', 'active'), ('needs_reconsent', 'revoked'),
          ('blocked', 'active'), ('blocked', 'revoked'),
          ('suspended', 'active'), ('suspended', 'revoked')
        ) then
          perform refuse_channel_change('channels_state_follows');
        end if;
        new.state_changed_at := new.updated_at;
        if new.state = 'active' then
          new.scrubbed_at := null;
        end if;
      end if;
      return new;
    end
    $$;
    create trigger channels_hold
      before update of id, tenant, created_at, state, generation, claim_fence, google_subject, youtube_channel_id,
        state_changed_at, scrubbed_at
      on channels for each row execute function hold_channel();

    create function hold_consent() returns trigger language plpgsql as $$
    begin
      if (new.id, new.tenant, new.channel, new.created_at) is distinct from (old.id, old.tenant, old.channel, old.created_at) then
        raise exception 'consents: refused' using errcode = 'check_violation', table = 'consents', constraint = 'consents_row_stays';
      end if;
      if old.status = 'completed' and new.status <> 'completed' then
        raise exception 'consents: refused' using errcode = 'check_violation', table = 'consents', constraint = 'consents_completed_stays';
      end if;
      return new;
    end
    $$;
    create trigger consents_hold before update of id, tenant, channel, created_at, status on consents
      for each row execute function hold_consent();

    alter table channels enable always trigger channels_date_state;
    alter table channels enable always trigger channels_hold;
    alter table consents enable always trigger consents_hold;

    comment on column channels.state_changed_at is 'Since when it is in its state, by updated_at; the retention clock starts here.';
    comment on column channels.scrubbed_at is
      'When retention deleted the grant and the pinned identity; null again with the next consent.';
    comment on column channels.google_subject is
      'Google''s sub of the identity that consented; with youtube_channel_id it is kept until retention deletes both: no other may follow.';
    comment on column channels.name is 'The admin''s name for it; unique within the tenant among those that are not revoked.';
  `.execute(db);
}
