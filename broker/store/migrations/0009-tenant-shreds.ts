import { type Kysely, sql } from 'kysely';

/** Crypto-shredding of tenants: who wants it, who agreed, how far it is, and what was proven at its end. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table tenants add column state text not null default 'active',
      add constraint tenants_state_is_known check (state in ('active', 'shredding', 'shredded'));
    comment on column tenants.state is
      'shredding: nothing is released, consented or refreshed any more. shredded: its key is destroyed, for good.';

    create table tenant_shreds (
      id                 text primary key,
      tenant             text not null references tenants (name),
      state              text not null,
      reason             text not null,
      approvals_needed   integer not null,
      without_revocation boolean not null,
      requested_by       text not null,
      requested_at       timestamptz not null,
      expires_at         timestamptz not null,
      approved_by        text,
      approved_at        timestamptz,
      started_by         text,
      started_at         timestamptz,
      ended_at           timestamptz,
      control_ciphertext text,
      proof              jsonb,
      claimed_until      timestamptz,

      constraint tenant_shreds_state_is_known check (state in
        ('requested', 'approved', 'revoking', 'awaiting_key_destruction', 'shredded', 'cancelled', 'expired')),
      constraint tenant_shreds_approvals_are_few check (approvals_needed in (0, 1)),
      constraint tenant_shreds_approval_is_whole check ((approved_by is null) = (approved_at is null)),
      constraint tenant_shreds_approver_is_another check (approved_by <> requested_by),
      constraint tenant_shreds_is_approved check (
        state in ('requested', 'cancelled', 'expired') or approvals_needed = 0 or approved_by is not null
      ),
      constraint tenant_shreds_is_started check (
        (state in ('revoking', 'awaiting_key_destruction', 'shredded'))
          = (num_nulls(started_by, started_at, control_ciphertext) = 0)
      ),
      constraint tenant_shreds_control_is_ciphertext check (control_ciphertext like 'vault:v%'),
      constraint tenant_shreds_is_proven check ((state = 'shredded') = (proof is not null))
    );
    create unique index tenant_shreds_one_at_a_time on tenant_shreds (tenant)
      where state not in ('cancelled', 'expired');

    create table tenant_shred_revocations (
      shred    text not null references tenant_shreds (id),
      channel  text not null references channels (id),
      outcome  text,
      attempts integer not null default 0,
      due_at   timestamptz not null,

      primary key (shred, channel),
      constraint tenant_shred_revocations_outcome_is_known check (outcome in
        ('revoked', 'already_invalid', 'kept_for_sibling', 'unreadable', 'failed', 'skipped'))
    );

    create function require_active_tenant() returns trigger language plpgsql as $$
    begin
      if (select state from tenants where name = new.tenant for share) <> 'active' then
        raise exception 'tenant % is being shredded', new.tenant
          using errcode = 'check_violation', constraint = 'tenant_is_active';
      end if;
      return new;
    end
    $$;
    create trigger channels_need_active_tenant before insert on channels
      for each row execute function require_active_tenant();
    create trigger channels_stay_revoked before update on channels
      for each row when (new.state <> 'revoked' and old.state is distinct from new.state)
      execute function require_active_tenant();
    create trigger consents_need_active_tenant before insert on consents
      for each row execute function require_active_tenant();
    create trigger consents_begin_with_active_tenant before update on consents
      for each row when (new.state_hash is distinct from old.state_hash)
      execute function require_active_tenant();

    comment on table tenant_shreds is 'Requests to destroy a tenant''s key, each through to its proof.';
    comment on column tenant_shreds.approvals_needed is 'As configured when it was requested.';
    comment on column tenant_shreds.expires_at is 'A request that was not started by then is void.';
    comment on column tenant_shreds.control_ciphertext is
      'A data key that was wrapped and unwrapped by the tenant''s key at the start: at the end it must not open.';
    comment on column tenant_shreds.proof is 'What was found when the key was gone; also on the audit record.';
    comment on column tenant_shreds.claimed_until is 'A broker is working on it and has until then.';
    comment on table tenant_shred_revocations is 'What became of each of the tenant''s grants at Google.';
    comment on column tenant_shred_revocations.outcome is 'Null while it is still to be tried.';
    comment on column tenant_shred_revocations.due_at is 'When it is tried next.';
  `.execute(db);
}
