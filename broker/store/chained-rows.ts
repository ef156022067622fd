/**
 * Records on their way onto the record: as PostgreSQL can keep them, each behind the head of its chain, and as one value
 * that a statement reads its rows from.
 */
import { type RawBuilder, sql } from 'kysely';
import { appendedLeaf, type ChainHead, type ChainLink, installationChain, newestLeaf } from '../domain/audit-chain.ts';
import type { AuditRecord } from '../domain/audit-record.ts';
import type { PreparedRecord } from '../ports.ts';
import { storableRecord } from './audit-log-row.ts';

/** A record and its place. */
export interface ChainedRow extends PreparedRecord {
  readonly link: ChainLink;
}

/** The columns of `audit_log` that a writer fills in, in the order of `rowsOf`. */
export const writtenColumns = sql.raw(
  'at, action, result, caller_kind, caller, ip, request_id, tenant, channel, facts, chain, seq, version, leaf, hash',
);

/** The form in which a record is kept and hashed. */
export function prepareRecord(given: AuditRecord): PreparedRecord {
  const record = storableRecord(given);
  return { record, leaf: newestLeaf(record) };
}

/** The names of the chains that records of these tenants may go to; a name that is no tenant's has none. */
export function tenantsOf(records: readonly PreparedRecord[]): ReadonlySet<string> {
  return new Set(records.map(({ record }) => record.tenant ?? installationChain));
}

/**
 * Puts each record behind the head that `headOf` answers for its tenant, and all in the order given. Answers the rows, and
 * the heads that the chains have with them.
 */
export function chained(
  records: readonly PreparedRecord[],
  headOf: (tenant: string) => ChainHead,
): { readonly rows: readonly ChainedRow[]; readonly heads: ReadonlyMap<string, ChainHead> } {
  const heads = new Map<string, ChainHead>();
  const rows = records.map((prepared) => {
    const head = headOf(prepared.record.tenant ?? installationChain);
    const link = appendedLeaf(heads.get(head.chain) ?? head, prepared.leaf);
    heads.set(link.chain, link);
    return { record: prepared.record, leaf: prepared.leaf, link };
  });
  return { rows, heads };
}

/**
 * The rows as `new (at, …, hash, place)`, to stand behind `from`. One value for each column, so that there is no limit on
 * their number; the hashes are one string of bytes each and the facts one JSON array, which both sides read fastest.
 */
export function rowsOf(rows: readonly ChainedRow[]): RawBuilder<unknown> {
  const records = rows.map(({ record }) => record);
  const links = rows.map(({ link }) => link);
  return sql`(
    select at, action, result, caller_kind, caller, ip, request_id, tenant, channel, facts, chain, seq, version,
      substring(${Buffer.concat(rows.map(({ leaf }) => leaf))}::bytea from (place * 32 - 31)::int for 32) as leaf,
      substring(${Buffer.concat(links.map(({ hash }) => hash))}::bytea from (place * 32 - 31)::int for 32) as hash,
      place
    from rows from (
      unnest(
        ${records.map(({ at }) => at.toISOString())}::timestamptz[],
        ${records.map(({ action }) => action)}::text[],
        ${records.map(({ result }) => result)}::text[],
        ${records.map(({ callerKind }) => callerKind)}::text[],
        ${records.map(({ caller }) => caller)}::text[],
        ${records.map(({ ip }) => ip ?? null)}::text[],
        ${records.map(({ requestId }) => requestId)}::text[],
        ${records.map(({ tenant }) => tenant ?? null)}::text[],
        ${records.map(({ channel }) => channel ?? null)}::text[],
        ${links.map(({ chain }) => chain)}::text[],
        ${links.map(({ seq }) => seq)}::bigint[],
        ${links.map(({ version }) => version)}::smallint[]
      ),
      jsonb_array_elements(${JSON.stringify(records.map(({ facts }) => facts))}::jsonb)
    ) with ordinality as given (at, action, result, caller_kind, caller, ip, request_id, tenant, channel,
      chain, seq, version, facts, place)
  ) as new`;
}
