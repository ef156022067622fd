import { BrokerError } from '../errors.ts';
import type { AuditLog } from '../ports.ts';
import { toAuditRecord } from './audit-log-row.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/** The append-only record in the table `audit_log`, whose trigger refuses every change. */
export function createAuditLog(database: Database): AuditLog {
  return {
    async append(record) {
      try {
        await recorded(database, record, async () => {});
      } catch (error) {
        throw new BrokerError('AUDIT_UNAVAILABLE', { detail: `${record.action} was not recorded`, cause: error });
      }
    },

    async list({ tenant, channel, limit }) {
      const rows = await database.run((db) =>
        db
          .selectFrom('audit_log')
          .selectAll()
          .$if(tenant !== undefined, (query) => query.where('tenant', '=', tenant ?? null))
          .$if(channel !== undefined, (query) => query.where('channel', '=', channel ?? null))
          .orderBy('id', 'desc')
          .limit(limit)
          .execute(),
      );
      return rows.map(toAuditRecord);
    },
  };
}
