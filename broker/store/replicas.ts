import { sql } from 'kysely';
import type { Replicas } from '../ports.ts';
import type { Database } from './database.ts';

const forgottenAfterHours = 24;

/**
 * The table `broker_replicas`: a row for each broker, touched when it shows that it is alive. Ages are computed by the
 * database, so that the clocks of replicas need not agree.
 */
export function createReplicas(database: Database): Replicas {
  return {
    beat: (self, takeoverMs) =>
      database.run(async (db) => {
        const { rows } = await sql<{ abandoned: readonly string[] }>`
          with self as (
            insert into broker_replicas (id, regions, version) values (${self.id}, ${self.regions ?? null}, ${self.version})
            on conflict (id) do update set seen_at = now(), stopped_at = null
            returning started_at
          ),
          forgotten as (
            delete from broker_replicas where seen_at < now() - make_interval(hours => ${forgottenAfterHours})
          ),
          present as (${regions}),
          seen as (
            select regions from broker_replicas
            where id <> ${self.id} and seen_at > now() - make_interval(secs => ${takeoverMs / 1000})
            union all select ${self.regions ?? null}::text[]
          )
          select coalesce(array_agg(region order by region), '{}') as abandoned from present
          where not exists (select from seen where seen.regions is null or region = any (seen.regions))
            -- Not at once: when all are started, the others need a moment, too.
            and (select started_at from self) < now() - make_interval(secs => ${takeoverMs / 1000})`.execute(db);
        return rows[0]?.abandoned ?? [];
      }),

    async list() {
      const rows = await database.run((db) =>
        db
          .selectFrom('broker_replicas')
          .selectAll()
          .select(sql<number>`(extract(epoch from now() - seen_at) * 1000)::float`.as('silent_ms'))
          .orderBy('seen_at', 'desc')
          .orderBy('id')
          .execute(),
      );
      return rows.map((row) => ({
        id: row.id,
        regions: row.regions ?? undefined,
        version: row.version,
        startedAt: row.started_at,
        seenAt: row.seen_at,
        silentMs: row.silent_ms,
        stoppedAt: row.stopped_at ?? undefined,
      }));
    },

    async stop(id) {
      await database.run((db) =>
        db.updateTable('broker_replicas').set({ stopped_at: sql`now()` }).where('id', '=', id).execute(),
      );
    },
  };
}

/** The regions that there are active channels in, found by jumping from one to the next in the index of the due queue. */
const regions = sql`
  with recursive found as (
    select used.name as client, (
      select min(channels.region) from channels where channels.state = 'active' and channels.oauth_client = used.name
    ) as region
    from oauth_clients as used
    union all
    select found.client, (
      select min(channels.region) from channels
      where channels.state = 'active' and channels.oauth_client = found.client and channels.region > found.region
    ) from found where found.region is not null
  )
  select distinct region from found where region is not null`;
