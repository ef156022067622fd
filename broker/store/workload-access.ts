import { type Kysely, sql } from 'kysely';
import type { Store } from '../ports.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

/** Who may read which channel, in the table `workload_access`. */
export function createWorkloadAccess(database: Database): Store['workloadAccess'] {
  return {
    allow: (access, record) =>
      recorded(database, record, async (trx) => {
        const renewed = {
          tenant: access.tenant,
          reason: access.reason,
          created_by: access.createdBy,
          created_at: access.createdAt,
        };
        await trx
          .insertInto('workload_access')
          .values({ spiffe_id: access.spiffeId, channel: access.channel, ...renewed })
          .onConflict((conflict) => conflict.columns(['spiffe_id', 'channel']).doUpdateSet(renewed))
          .execute();
      }),

    find: (spiffeId, channel) =>
      database.run((db) =>
        accessOf(db).where('spiffe_id', '=', spiffeId).where('channel', '=', channel).executeTakeFirst(),
      ),

    listByChannel: (channel) =>
      database.run((db) => accessOf(db).where('channel', '=', channel).orderBy('spiffe_id').execute()),

    listFor: (spiffeIds, channels) =>
      database.run((db) =>
        db
          .selectFrom('workload_access')
          .select(['spiffe_id as spiffeId', 'channel'])
          .where('spiffe_id', '=', sql<string>`any(${spiffeIds})`)
          .where('channel', '=', sql<string>`any(${channels})`)
          .execute(),
      ),
  };
}

function accessOf(db: Kysely<Schema>) {
  return db
    .selectFrom('workload_access')
    .select([
      'spiffe_id as spiffeId',
      'channel',
      'tenant',
      'reason',
      'created_by as createdBy',
      'created_at as createdAt',
    ]);
}
