import { BrokerError } from '../errors.ts';
import type { AuditLog } from '../ports.ts';
import { createAuditAppender } from './audit-appender.ts';
import { toAuditRecord } from './audit-log-row.ts';
import { writtenPreparedRecords } from './audit-writer.ts';
import { prepareRecord } from './chained-rows.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

const mostTries = 3;

/** The append-only record in the table `audit_log`, whose trigger refuses every change. */
export function createAuditLog(database: Database): AuditLog {
  const append = createAuditAppender(database);

  return {
    async append(record) {
      try {
        await recorded(database, record, async () => {});
      } catch (error) {
        throw new BrokerError('AUDIT_UNAVAILABLE', { detail: `${record.action} was not recorded`, cause: error });
      }
    },

    prepare: prepareRecord,

    async appendAll(records, { firstTime = false } = {}) {
      let missing = records;
      for (let tries = 1; missing.length > 0; tries += 1) {
        const now = missing;
        try {
          await append(now, firstTime && tries === 1);
          return;
        } catch (error) {
          if (!(error instanceof BrokerError) || error.code !== 'STORE_CONFLICT' || tries === mostTries) throw error;
        }
        const written = await database.run((db) => writtenPreparedRecords(db, now));
        missing = now.filter((_, place) => written[place] !== true);
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
