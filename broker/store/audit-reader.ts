import { type Kysely, type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import type { AuditEntry } from '../domain/audit-entry.ts';
import type { AuditFilter, AuditReader } from '../ports.ts';
import { toAuditRecord } from './audit-log-row.ts';
import type { Database } from './database.ts';
import type { AuditLogTable, Schema } from './schema.ts';

const usualSpan = 20_000;

/**
 * Reads chains page by page. A chain is written by one transaction after the other (its head is locked until the commit),
 * so whoever has read it up to its head has missed nothing before.
 *
 * One page looks through `span` places of a chain at most, whatever is filtered out: so every page is quick.
 */
export function createAuditReader(database: Database, span = usualSpan): AuditReader {
  return {
    page: ({ chain, filter, from, limit }) =>
      database.run(async (db) => {
        const found = await db.selectFrom('audit_chains').select('seq').where('chain', '=', chain).executeTakeFirst();
        const head = Number(found?.seq ?? 0);
        const gone = await goneUpTo(db, chain, head);
        const forwards = 'after' in from;
        const last = Math.min(('before' in from ? from.before : undefined) ?? head + 1, head + 1) - 1;
        const above = forwards ? Math.max(from.after, gone) : Math.max(gone, last - span);
        const upTo = forwards ? Math.min(head, above + span) : last;
        const rows = await filtered(db.selectFrom('audit_log').selectAll(), filter)
          .where('chain', '=', chain)
          .where('seq', '>', String(above))
          .where('seq', '<=', String(upTo))
          .orderBy('seq', forwards ? 'asc' : 'desc')
          .limit(limit)
          .execute();
        const entries = rows.map(toEntry);
        const full = entries.length === limit ? entries.at(-1)?.seq : undefined;
        if (forwards) return { entries, next: full ?? Math.max(upTo, from.after), head };
        const next = full ?? above + 1;
        return { entries, next: next > gone + 1 ? next : undefined, head };
      }),
  };
}

/** The last number whose record was deleted by age; 0 where the chain is whole, and the head where nothing is left. */
async function goneUpTo(db: Kysely<Schema>, chain: string, head: number): Promise<number> {
  const oldest = await db
    .selectFrom('audit_log')
    .select('seq')
    .where('chain', '=', chain)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return oldest ? Number(oldest.seq) - 1 : head;
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
