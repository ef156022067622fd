import type { Kysely } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import { BrokerError } from '../errors.ts';
import type { AuditLog } from '../ports.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/** The append-only record in the table `audit_log`, whose trigger refuses every change. */
export function createAuditLog(database: Database): AuditLog {
  return {
    async append(record) {
      try {
        await database.run((db) => writeAuditRecord(db, record));
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
      return rows.map((row) => ({
        at: row.at,
        action: row.action,
        result: row.result,
        callerKind: row.caller_kind,
        caller: row.caller,
        ip: row.ip ?? undefined,
        requestId: row.request_id,
        tenant: row.tenant ?? undefined,
        channel: row.channel ?? undefined,
        facts: row.facts,
      }));
    },
  };
}

/** Writes a record; inside a transaction together with the change that it tells of. */
export async function writeAuditRecord(db: Kysely<Schema>, record: AuditRecord): Promise<void> {
  await db
    .insertInto('audit_log')
    .values({
      at: record.at,
      action: record.action,
      result: record.result,
      caller_kind: record.callerKind,
      caller: storable(record.caller),
      ip: record.ip === undefined ? null : storable(record.ip),
      request_id: storable(record.requestId),
      tenant: record.tenant === undefined ? null : storable(record.tenant),
      channel: record.channel === undefined ? null : storable(record.channel),
      facts: Object.fromEntries(Object.entries(record.facts).map(([name, fact]) => [name, storableFact(fact)])),
    })
    .execute();
}

/** PostgreSQL stores neither NUL nor half a surrogate pair; a caller who sends one must not escape the record by it. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\u{fffd}');
}

function storableFact(fact: AuditRecord['facts'][string]): AuditRecord['facts'][string] {
  if (typeof fact === 'string') return storable(fact);
  return typeof fact === 'object' ? fact.map(storable) : fact;
}
