import { type Kysely, sql } from 'kysely';

/**
 * An access becomes a rule: for one workload or for all below a path of the SPIFFE ID, with the scopes that may be asked
 * for and an end. And who is shut out whatever the rules say, told to all brokers like every other change.
 *
 * A broker of before takes a rule for a path as the name of a workload that nobody has: it lets nobody in by it. It knows
 * neither scopes nor ends, and nobody who is shut out: bring all brokers up before rules say so.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table workload_access
      add column scopes              text[],
      add column expires_at          timestamptz,
      add column accepts_wider_token boolean not null default false,
      add constraint workload_access_scopes_are_some check (cardinality(scopes) > 0),
      add constraint workload_access_star_is_at_the_end check (
        position('*' in spiffe_id) = 0 or spiffe_id ~ '^spiffe://[^/*]+(/[^/*]+)+/[*]$'
      );
    create index workload_access_of_paths on workload_access (channel) where right(spiffe_id, 2) = '/*';

    create table workload_denials (
      tenant     text not null,
      subject    text not null,
      reason     text not null,
      created_by text not null,
      created_at timestamptz not null,

      primary key (subject, tenant),
      constraint workload_denials_subject_is_one check (
        subject ~ '^spiffe://[^/*]+(/[^/*]+)+$' or (subject ~ '^[0-9a-f]{2}(:[0-9a-f]{2})*$' and tenant = '')
      )
    );

    create function tell_denial_change() returns trigger language plpgsql as $$
    begin
      insert into outbox (kind, tenant) values ('denials.changed', nullif(coalesce(new.tenant, old.tenant), ''));
      notify outbox;
      return null;
    end
    $$;
    create trigger workload_denials_tell_change after insert or update or delete on workload_denials
      for each row execute function tell_denial_change();
    create trigger workload_denials_tell_emptied after truncate on workload_denials
      for each statement execute function tell_emptied();
    alter table workload_denials enable always trigger workload_denials_tell_change;
    alter table workload_denials enable always trigger workload_denials_tell_emptied;

    comment on table workload_access is
      'The access rules: which workloads may read the tokens of which channel, asking for which scopes, until when; nothing else may.';
    comment on column workload_access.spiffe_id is
      'The one SPIFFE ID in the workload''s certificate; or a path of such IDs with /* at its end, for all below it.';
    comment on column workload_access.scopes is 'What may be asked for; null for whatever the owner granted.';
    comment on column workload_access.expires_at is 'From then on the rule lets nobody in; null for never.';
    comment on column workload_access.accepts_wider_token is
      'Whether somebody agreed that the token opens more than the scopes above: an access token has all scopes of its grant.';
    comment on table workload_denials is 'Who is shut out, whatever the access rules say.';
    comment on column workload_denials.tenant is 'Shut out of this tenant''s channels; empty for shut out of everything.';
    comment on column workload_denials.subject is 'A SPIFFE ID, or a certificate''s serial number as Vault writes it.';
    comment on column outbox.kind is
      'channel.changed, channel.deleted, access.changed, denials.changed or everything.changed.';
  `.execute(db);
}
