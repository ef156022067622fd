import { type Kysely, sql } from 'kysely';

/**
 * Lets the owner of the tables, and nobody else, delete the beginning of an audit chain: in a transaction that says so, and
 * only as a whole, up to a record that is signed. UPDATE and TRUNCATE are refused as before, and so is every other DELETE.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function refuse_unmeant_prune() returns trigger language plpgsql as $$
    begin
      -- The number of the transaction cannot be that of a setting that a session, a role or a file has.
      if current_setting('token_broker.audit_prune', true) is distinct from pg_current_xact_id()::text
        or not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'usage')
      then
        raise exception 'the audit log is append-only: % refused', tg_op using errcode = 'insufficient_privilege';
      end if;
      return null;
    end
    $$;

    create function refuse_partial_prune() returns trigger language plpgsql as $$
    begin
      if exists (
        select from (select chain, max(seq) as seq from gone group by chain) as cut
        where exists (select from audit_log kept where kept.chain = cut.chain and kept.seq <= cut.seq)
          or not exists (
            select from gone join audit_checkpoints signed using (chain, seq, hash)
            where gone.chain = cut.chain and gone.seq = cut.seq
          )
      ) then
        raise exception 'an audit chain loses its beginning only, whole and up to a signed record: % refused', tg_op
          using errcode = 'insufficient_privilege';
      end if;
      return null;
    end
    $$;

    create function refuse_needed_checkpoint_loss() returns trigger language plpgsql as $$
    begin
      if exists (
        select from gone where not exists (
          select from audit_checkpoints kept
          where kept.chain = gone.chain and kept.seq > gone.seq
            and not exists (select from audit_log record where record.chain = kept.chain and record.seq <= kept.seq)
        )
      ) then
        raise exception 'the checkpoint that a chain begins behind stays, and all after it: % refused', tg_op
          using errcode = 'insufficient_privilege';
      end if;
      return null;
    end
    $$;

    drop trigger audit_log_is_append_only on audit_log;
    create trigger audit_log_is_append_only
      before update or truncate on audit_log
      for each statement execute function refuse_audit_change();
    create trigger audit_log_is_pruned_on_purpose
      before delete on audit_log
      for each statement execute function refuse_unmeant_prune();
    create trigger audit_log_is_pruned_from_its_beginning
      after delete on audit_log referencing old table as gone
      for each statement execute function refuse_partial_prune();

    drop trigger audit_checkpoints_are_append_only on audit_checkpoints;
    create trigger audit_checkpoints_are_append_only
      before update or truncate on audit_checkpoints
      for each statement execute function refuse_audit_change();
    create trigger audit_checkpoints_are_pruned_on_purpose
      before delete on audit_checkpoints
      for each statement execute function refuse_unmeant_prune();
    create trigger audit_checkpoints_that_are_needed_stay
      after delete on audit_checkpoints referencing old table as gone
      for each statement execute function refuse_needed_checkpoint_loss();

    alter table audit_log enable always trigger audit_log_is_append_only;
    alter table audit_log enable always trigger audit_log_is_pruned_on_purpose;
    alter table audit_log enable always trigger audit_log_is_pruned_from_its_beginning;
    alter table audit_checkpoints enable always trigger audit_checkpoints_are_append_only;
    alter table audit_checkpoints enable always trigger audit_checkpoints_are_pruned_on_purpose;
    alter table audit_checkpoints enable always trigger audit_checkpoints_that_are_needed_stay;

    comment on table audit_log is
      'Who did, or was refused, what, to which channel; append-only but for a beginning that is kept no longer.';
  `.execute(db);
}
