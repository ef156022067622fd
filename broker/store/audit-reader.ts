import { type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import type { AuditEntry } from '../domain/audit-entry.ts';
import type { AuditFilter, AuditReader } from '../ports.ts';
import { toAuditRecord } from './audit-log-row.ts';
import type { Database } from './database.ts';
import type { AuditLogTable, Schema } from './schema.ts';

/** How many places of a chain one page looks through at most, whatever is filtered out: so every page is quick. */
const span = 20_000;

/**
 * Reads chains page by page. A chain is written by one transaction after the other (its head is locked until the commit),
 * so whoever has read it up to its head has missed nothing before.
 */
export function createAuditReader(database: Database): AuditReader {
  return {
    page: ({ chain, filter, from, limit }) =>
      database.run(async (db) => {
        const found = await db.selectFrom('audit_chains').select('seq').where('chain', '=', chain).executeTakeFirst();
        const head = Number(found?.seq ?? 0);
        const forwards = 'after' in from;
        const above = forwards ? from.after : Math.max(0, Math.min(from.before ?? head + 1, head + 1) - 1 - span);
        const upTo = forwards ? Math.min(head, from.after + span) : Math.min(from.before ?? head + 1, head + 1) - 1;
        const rows = await filtered(db.selectFrom('audit_log').selectAll(), filter)
          .where('chain', '=', chain)
          .where('seq', '>', String(above))
          .where('seq', '<=', String(upTo))
          .orderBy('seq', forwards ? 'asc' : 'desc')
          .limit(limit)
          .execute();
        const entries = rows.map(toEntry);
        const last = entries.length === limit ? entries.at(-1)?.seq : undefined;
        if (forwards) return { entries, next: last ?? Math.max(upTo, from.after), head };
        const next = last ?? above + 1;
        return { entries, next: next > 1 ? next : undefined, head };
      }),
  };
}

type Rows = SelectQueryBuilder<Schema, 'audit_log', Selectable<AuditLogTable>>;

function filtered(rows: Rows, filter: AuditFilter): Rows {
  const { channel, action, result, caller, requestId, since, until } = filter;
  let wanted = rows;
  if (channel !== undefined) wanted = wanted.where('channel', '=', channel);
  if (action !== undefined) wanted = wanted.where((row) => row(row.cast<string>('action', 'text'), '=', action));
  if (result !== undefined) wanted = wanted.where((row) => row(row.cast<string>('result', 'text'), '=', result));
  if (caller !== undefined) wanted = wanted.where('caller', '=', caller);
  if (requestId !== undefined) {
    // The whole id, or the name that its caller gave it.
    const called = sql<boolean>`starts_with(request_id, ${`${requestId}.`})`;
    wanted = wanted.where((row) => row.or([row('request_id', '=', requestId), called]));
  }
  if (since !== undefined) wanted = wanted.where('at', '>=', since);
  if (until !== undefined) wanted = wanted.where('at', '<', until);
  return wanted;
}

function toEntry(row: Selectable<AuditLogTable>): AuditEntry {
  return { chain: row.chain, seq: Number(row.seq), hash: row.hash.toString('hex'), record: toAuditRecord(row) };
}
