import { type Kysely, sql } from 'kysely';

/**
 * The life of a tenant's key: which version each ciphertext needs (so that counting and rewrapping never scan a table),
 * what is known of the key itself, and the oldest version that may still be written.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table channels
      add column refresh_token_key_version integer
        generated always as (substring(refresh_token_encrypted, '^vault:v([0-9]+):')::integer) stored,
      add constraint channels_refresh_token_names_key_version check (
        (refresh_token_encrypted is null) = (refresh_token_key_version is null)
      );
    alter table consents
      add column received_token_key_version integer
        generated always as (substring(received_token_encrypted, '^vault:v([0-9]+):')::integer) stored,
      add column code_verifier_key_version integer
        generated always as (substring(code_verifier_encrypted, '^vault:v([0-9]+):')::integer) stored,
      add constraint consents_received_token_names_key_version check (
        (received_token_encrypted is null) = (received_token_key_version is null)
      ),
      add constraint consents_verifier_names_key_version check (
        (code_verifier_encrypted is null) = (code_verifier_key_version is null)
      );

    create index channels_by_key_version on channels (tenant, refresh_token_key_version, id)
      where refresh_token_key_version is not null;
    create index consents_by_received_key_version on consents (tenant, received_token_key_version, id)
      where received_token_key_version is not null;
    create index consents_by_verifier_key_version on consents (tenant, code_verifier_key_version, id)
      where code_verifier_key_version is not null;

    alter table tenants
      add column key_version        integer,
      add column key_min_version    integer not null default 1,
      add column key_fault          text,
      add column key_rewrapped_at   timestamptz,
      add column key_rewrap_failed  text[] not null default '{}',
      add column key_rotate_every_s integer,
      add column key_looked_at      timestamptz,
      add column key_claimed_until  timestamptz,
      add column key_claim_fence    integer not null default 0,
      add constraint tenants_key_fault_is_known check (key_fault in ('missing', 'unsuitable')),
      add constraint tenants_key_rotates_forward check (key_rotate_every_s > 0);

    -- A ciphertext of a version that the key no longer opens would be lost. The lock is shared among writers; whoever
    -- raises the minimum takes it alone: what was being written is then seen, and what is written later sees the minimum.
    create function refuse_retired_key_version() returns trigger language plpgsql as $$
    declare
      oldest integer;
    begin
      perform pg_advisory_xact_lock_shared(hashtextextended('tenant-key ' || new.tenant, 0));
      select key_min_version into oldest from tenants where name = new.tenant;
      if (to_jsonb(new) ->> tg_argv[0])::integer < oldest then
        raise exception 'the key version is retired' using errcode = 'TB001';
      end if;
      return null;
    end
    $$;
    -- Not where the version stays or rises: then the row as it was holds the minimum back. So a rewrap costs nothing here.
    create trigger channels_new_key_version after insert on channels for each row
      when (new.refresh_token_key_version is not null)
      execute function refuse_retired_key_version('refresh_token_key_version');
    create trigger channels_lower_key_version after update on channels for each row
      when (new.refresh_token_key_version < coalesce(old.refresh_token_key_version, 2147483647))
      execute function refuse_retired_key_version('refresh_token_key_version');
    create trigger consents_new_received_key_version after update on consents for each row
      when (new.received_token_key_version < coalesce(old.received_token_key_version, 2147483647))
      execute function refuse_retired_key_version('received_token_key_version');
    create trigger consents_new_verifier_key_version after update on consents for each row
      when (new.code_verifier_key_version < coalesce(old.code_verifier_key_version, 2147483647))
      execute function refuse_retired_key_version('code_verifier_key_version');

    comment on column channels.refresh_token_key_version is 'The version of the tenant''s key that the ciphertext needs.';
    comment on column consents.received_token_key_version is 'The version of the tenant''s key that the ciphertext needs.';
    comment on column consents.code_verifier_key_version is 'The version of the tenant''s key that the ciphertext needs.';
    comment on column tenants.key_version is 'Newest version of the key that was noticed; null before the first look.';
    comment on column tenants.key_min_version is
      'Oldest version that a ciphertext written from now on may have: Vault''s min_decryption_version.';
    comment on column tenants.key_fault is 'What is wrong with the key in Vault; null where nothing is.';
    comment on column tenants.key_rewrapped_at is 'Since when no row needs a version before the newest; null while some do.';
    comment on column tenants.key_rewrap_failed is 'Rows that Vault could not rewrap: their kinds and ids.';
    comment on column tenants.key_rotate_every_s is 'Rotate when the newest version is so old, in seconds; null for never.';
    comment on column tenants.key_looked_at is 'When a broker last looked at the key; null to have it looked at soon.';
    comment on column tenants.key_claimed_until is 'A broker is working on the key and has until then; null where none is.';
    comment on column tenants.key_claim_fence is 'Rises with each claim: a broker that was too slow cannot write.';
  `.execute(db);
}
