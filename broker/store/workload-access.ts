import { type Kysely, sql } from 'kysely';
import type { WorkloadAccess, WorkloadAccesses } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';
import { rulesNaming, type TermsRow, toTerms } from './workload-rules.ts';

/** The access rules, in the table `workload_access`. */
export function createWorkloadAccess(database: Database): WorkloadAccesses {
  return {
    allow: (access, record) =>
      recorded(database, record, async (trx) => {
        const renewed = {
          tenant: access.tenant,
          reason: access.reason,
          created_by: access.createdBy,
          created_at: access.createdAt,
          scopes: access.scopes ?? null,
          expires_at: access.expiresAt ?? null,
          accepts_wider_token: access.acceptsWiderToken ?? false,
        };
        await trx
          .insertInto('workload_access')
          .values({ spiffe_id: access.spiffeId, channel: access.channel, ...renewed })
          .onConflict((conflict) => conflict.columns(['spiffe_id', 'channel']).doUpdateSet(renewed))
          .execute();
      }),

    remove: ({ spiffeId, channel }, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .deleteFrom('workload_access')
          .where('spiffe_id', '=', spiffeId)
          .where('channel', '=', channel)
          .executeTakeFirst();
        expectChanged(result, `no rule lets ${spiffeId} read ${channel}`);
      }),

    async find(spiffeId, channel) {
      const row = await database.run((db) =>
        rulesOf(db).where('spiffe_id', '=', spiffeId).where('channel', '=', channel).executeTakeFirst(),
      );
      return row && toAccess(row);
    },

    async listByChannel(channel) {
      const rows = await database.run((db) =>
        rulesOf(db).where('channel', '=', channel).orderBy('spiffe_id').execute(),
      );
      return rows.map(toAccess);
    },

    async list({ tenant, spiffeId }) {
      const rows = await database.run((db) => {
        let query = rulesOf(db);
        if (tenant !== undefined) query = query.where('tenant', '=', tenant);
        if (spiffeId !== undefined) {
          query = query.where(
            sql<boolean>`(spiffe_id = ${spiffeId} or (
              right(spiffe_id, 2) = '/*' and starts_with(${spiffeId}, left(spiffe_id, -1))
            ))`,
          );
        }
        return query.orderBy('spiffe_id').orderBy('channel').execute();
      });
      return rows.map(toAccess);
    },

    async listFor(spiffeIds, channels) {
      const { rows } = await database.run((db) =>
        sql<TermsRow & { readonly spiffe_id: string; readonly channel: string }>`
          select asked.spiffe_id, asked.channel, rule.*
          from (
            select spiffe_id, channel from unnest(${spiffeIds}::text[]) as spiffe_id
              cross join (select distinct channel from workload_access where channel = any(${channels}::text[])) as named
          ) as asked
          cross join lateral (${rulesNaming(sql`asked.spiffe_id`, sql`asked.channel`)}) as rule`.execute(db),
      );
      return rows.map(({ spiffe_id, channel, ...terms }) => ({ spiffeId: spiffe_id, channel, ...toTerms(terms) }));
    },
  };
}

function rulesOf(db: Kysely<Schema>) {
  return db.selectFrom('workload_access').selectAll();
}

type Row = Awaited<ReturnType<ReturnType<typeof rulesOf>['execute']>>[number];

function toAccess(row: Row): WorkloadAccess {
  return {
    spiffeId: row.spiffe_id,
    channel: row.channel,
    tenant: row.tenant,
    reason: row.reason,
    createdBy: row.created_by,
    createdAt: row.created_at,
    ...toTerms(row),
  };
}
