import { sql } from 'kysely';
import type { Store } from '../ports.ts';
import type { Database } from './database.ts';
import { isFree } from './due-channels.ts';

/** What readers leave behind in `channels`. It is no act, so it is not recorded. */
export function createChannelUse(database: Database): Pick<Store['channels'], 'noteUse' | 'awaitRefresh'> {
  return {
    noteUse: (used, coarsenessMs) =>
      database.run(async (db) => {
        const { rows } = await sql<{ id: string }>`
          with used as materialized (
            select * from unnest(${[...used.keys()]}::text[], ${[...used.values()]}::timestamptz[]) as used (id, at)
          ),
          known as (
            select used.id from used left join channels using (id)
            where channels.id is null or last_used_at > used.at - make_interval(secs => ${coarsenessMs / 1000})
          ),
          free as materialized (
            select id from channels where id in (select id from used except select id from known)
            order by id for update skip locked
          ),
          noted as (
            update channels set last_used_at = used.at
            from free, used where channels.id = free.id and channels.id = used.id
            returning channels.id
          )
          select id from known union all select id from noted`.execute(db);
        return rows.map(({ id }) => id);
      }),

    awaitRefresh: (id, now) =>
      database.run(async (db) => {
        const { numUpdatedRows } = await db
          .updateTable('channels')
          .set({ awaited: true })
          .where('id', '=', id)
          .where(sql<boolean>`not ${isFree(now)}`)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      }),
  };
}
