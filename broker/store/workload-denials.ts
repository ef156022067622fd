import type { WorkloadDenials } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/** In the table, who is shut out of everything has no tenant. */
const everywhere = '';

/** Who is shut out, in the table `workload_denials`. */
export function createWorkloadDenials(database: Database): WorkloadDenials {
  return {
    deny: ({ subject, tenant = everywhere, reason, createdBy, createdAt }, record) =>
      recorded(database, record, async (trx) => {
        const renewed = { reason, created_by: createdBy, created_at: createdAt };
        await trx
          .insertInto('workload_denials')
          .values({ subject, tenant, ...renewed })
          .onConflict((conflict) => conflict.columns(['subject', 'tenant']).doUpdateSet(renewed))
          .execute();
      }),

    lift: ({ subject, tenant = everywhere }, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .deleteFrom('workload_denials')
          .where('subject', '=', subject)
          .where('tenant', '=', tenant)
          .executeTakeFirst();
        expectChanged(result, `${subject} is not shut out`);
      }),

    async list() {
      const rows = await database.run((db) =>
        db.selectFrom('workload_denials').selectAll().orderBy('subject').orderBy('tenant').execute(),
      );
      return rows.map((row) => ({
        subject: row.subject,
        tenant: row.tenant === everywhere ? undefined : row.tenant,
        reason: row.reason,
        createdBy: row.created_by,
        createdAt: row.created_at,
      }));
    },

    async subjects() {
      const rows = await database.run((db) =>
        db.selectFrom('workload_denials').select('subject').where('tenant', '=', everywhere).execute(),
      );
      return rows.map(({ subject }) => subject);
    },
  };
}
