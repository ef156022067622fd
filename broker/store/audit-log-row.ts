import type { Selectable } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { AuditLogTable } from './schema.ts';

/** Reads a row as the domain's record. */
export function toAuditRecord(row: Omit<Selectable<AuditLogTable>, 'id' | 'chain' | keyof Link>): AuditRecord {
  return {
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
  };
}

type Link = Pick<AuditLogTable, 'seq' | 'version' | 'leaf' | 'hash'>;

/**
 * The record as PostgreSQL can keep it, and as it is hashed: it stores neither NUL nor half a surrogate pair, and a
 * caller who sends one must not escape the record by it.
 */
export function storableRecord(record: AuditRecord): AuditRecord {
  // Nearly every record is: it is not built anew.
  if (textsOf(record).every(isStorable)) return record;
  return {
    ...record,
    caller: storable(record.caller),
    ip: record.ip === undefined ? undefined : storable(record.ip),
    requestId: storable(record.requestId),
    tenant: record.tenant === undefined ? undefined : storable(record.tenant),
    channel: record.channel === undefined ? undefined : storable(record.channel),
    facts: Object.fromEntries(Object.entries(record.facts).map(([name, fact]) => [name, storableFact(fact)])),
  };
}

function textsOf({ caller, ip, requestId, tenant, channel, facts }: AuditRecord): readonly unknown[] {
  return [caller, ip, requestId, tenant, channel, ...Object.values(facts).flat()];
}

function isStorable(value: unknown): boolean {
  return typeof value !== 'string' || (value.isWellFormed() && !value.includes('\0'));
}

function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\u{fffd}');
}

function storableFact(fact: AuditRecord['facts'][string]): AuditRecord['facts'][string] {
  if (typeof fact === 'string') return storable(fact);
  return typeof fact === 'object' ? fact.map(storable) : fact;
}
