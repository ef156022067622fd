import { type Kysely, sql } from 'kysely';

/** The audit log; it refers to no other table, because it must be able to name what is not there (any more). */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table audit_log (
      id          bigint generated always as identity primary key,
      at          timestamptz not null,
      action      text not null,
      result      text not null,
      caller_kind text not null,
      caller      text not null,
      ip          text,
      request_id  text not null,
      tenant      text,
      channel     text,
      facts       jsonb not null,

      constraint audit_log_facts_is_object check (jsonb_typeof(facts) = 'object')
    );

    create index audit_log_by_tenant on audit_log (tenant, id);
    create index audit_log_by_channel on audit_log (channel, id);

    create function refuse_audit_change() returns trigger language plpgsql as $$
    begin
      raise exception 'the audit log is append-only: % refused', tg_op using errcode = 'insufficient_privilege';
    end
    $$;
    create trigger audit_log_is_append_only
      before update or delete or truncate on audit_log
      for each statement execute function refuse_audit_change();
    alter table audit_log enable always trigger audit_log_is_append_only;

    comment on table audit_log is 'Who did, or was refused, what, to which channel; append-only, without any token.';
    comment on column audit_log.id is 'Order of writing; gaps are rolled-back transactions.';
    comment on column audit_log.result is 'ok, or the stable code of the refusal or failure.';
    comment on column audit_log.caller_kind is 'person, workload, owner (of a channel), scheduler or anonymous.';
    comment on column audit_log.caller is 'Subject or SPIFFE ID.';
    comment on column audit_log.ip is 'Client address as seen behind the configured proxies.';
    comment on column audit_log.facts is 'What else an auditor needs: scopes, generation, reasons, fingerprints.';
  `.execute(db);
}
