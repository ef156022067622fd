import { type Kysely, sql } from 'kysely';

/**
 * The outbox: what brokers, and through them sidecars, hear of at once. Triggers write it in the transaction of the
 * change, so that no flow can forget it and a change made by hand counts, too.
 *
 * By row and with a condition: a refresh or a rewrap changes neither state nor generation and costs nothing here. All
 * notifications of a transaction are one, since their payload is the same.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table outbox (
      id      bigint generated always as identity primary key,
      xid     xid8 not null default pg_current_xact_id(),
      at      timestamptz not null default clock_timestamp(),
      kind    text not null,
      tenant  text,
      channel text,
      facts   jsonb not null default '{}',

      constraint outbox_facts_is_object check (jsonb_typeof(facts) = 'object')
    );
    create index outbox_by_xid on outbox (xid);
    create index outbox_by_at on outbox (at);

    create function tell_channel_change() returns trigger language plpgsql as $$
    begin
      insert into outbox (kind, tenant, channel, facts)
        values ('channel.changed', old.tenant, old.id, jsonb_build_object(
          'formerState', old.state, 'formerGeneration', old.generation, 'state', new.state, 'generation', new.generation
        ));
      if new.id is distinct from old.id then
        insert into outbox (kind, tenant, channel) values ('channel.changed', new.tenant, new.id);
      end if;
      notify outbox;
      return null;
    end
    $$;
    create function tell_channel_deleted() returns trigger language plpgsql as $$
    begin
      insert into outbox (kind, tenant, channel, facts)
        values ('channel.deleted', old.tenant, old.id,
          jsonb_build_object('formerState', old.state, 'formerGeneration', old.generation));
      notify outbox;
      return null;
    end
    $$;
    create function tell_access_change() returns trigger language plpgsql as $$
    begin
      if tg_op <> 'INSERT' then
        insert into outbox (kind, tenant, channel) values ('access.changed', old.tenant, old.channel);
      end if;
      if tg_op = 'INSERT' or new.channel is distinct from old.channel then
        insert into outbox (kind, tenant, channel) values ('access.changed', new.tenant, new.channel);
      end if;
      notify outbox;
      return null;
    end
    $$;
    create function tell_emptied() returns trigger language plpgsql as $$
    begin
      insert into outbox (kind) values ('everything.changed');
      notify outbox;
      return null;
    end
    $$;

    create trigger channels_tell_change after update on channels for each row
      when (
        (old.id, old.tenant, old.state, old.generation) is distinct from (new.id, new.tenant, new.state, new.generation)
        or (old.refresh_token_encrypted is null) <> (new.refresh_token_encrypted is null)
      )
      execute function tell_channel_change();
    create trigger channels_tell_deleted after delete on channels for each row execute function tell_channel_deleted();
    create trigger channels_tell_emptied after truncate on channels for each statement execute function tell_emptied();
    create trigger workload_access_tell_change after insert or update or delete on workload_access
      for each row execute function tell_access_change();
    create trigger workload_access_tell_emptied after truncate on workload_access
      for each statement execute function tell_emptied();
    alter table channels enable always trigger channels_tell_change;
    alter table channels enable always trigger channels_tell_deleted;
    alter table channels enable always trigger channels_tell_emptied;
    alter table workload_access enable always trigger workload_access_tell_change;
    alter table workload_access enable always trigger workload_access_tell_emptied;

    comment on table outbox is
      'What has changed, for brokers to hear of: written by triggers in the transaction of the change, kept for a day.';
    comment on column outbox.id is 'Order of writing; transactions may become visible in another order.';
    comment on column outbox.xid is 'The transaction: a reader asks for those that it could not see the last time.';
    comment on column outbox.kind is 'channel.changed, channel.deleted, access.changed or everything.changed.';
    comment on column outbox.channel is 'Null where it concerns more than one.';
    comment on column outbox.facts is 'State and generation before and after; never a secret.';
  `.execute(db);
}
