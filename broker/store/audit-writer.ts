/**
 * Writes records behind the ends of their chains, inside the transaction of what they tell of.
 *
 * The rows of `audit_chains` are locked in the order of their names, after everything else that the transaction locks:
 * so several brokers write one chain one after the other, and none waits for another in a circle. Recording is therefore
 * the last thing that a transaction does, and all its records are written by one call.
 */
import { type Kysely, sql, type Transaction } from 'kysely';
import { type ChainHead, emptyChain, installationChain } from '../domain/audit-chain.ts';
import type { AuditRecord } from '../domain/audit-record.ts';
import { BrokerError } from '../errors.ts';
import type { PreparedRecord } from '../ports.ts';
import { type ChainedRow, chained, prepareRecord, rowsOf, tenantsOf, writtenColumns } from './chained-rows.ts';
import type { Schema } from './schema.ts';

/** Writes one record. Throws STORE_CONFLICT where this very record is written already. */
export async function writeAuditRecord(trx: Transaction<Schema>, record: AuditRecord): Promise<void> {
  await writeAuditRecords(trx, [record]);
}

/** Writes records in the order given, whatever their tenants; like `writePreparedRecords`. */
export async function writeAuditRecords(trx: Transaction<Schema>, records: readonly AuditRecord[]): Promise<void> {
  await writePreparedRecords(trx, records.map(prepareRecord));
}

/**
 * Writes records in the order given, whatever their tenants: three statements, however many there are. Throws
 * STORE_CONFLICT where one of them is written already, as after a commit whose answer was lost; `writtenRecords` tells
 * which. Answers the heads that the chains have once the transaction is committed.
 */
export async function writePreparedRecords(
  trx: Transaction<Schema>,
  records: readonly PreparedRecord[],
): Promise<ReadonlyMap<string, ChainHead>> {
  if (records.length === 0) return new Map();
  const locked = await lockHeads(trx, tenantsOf(records));
  const { rows, heads } = chained(records, (tenant) => {
    const head = locked.get(tenant) ?? locked.get(installationChain);
    if (!head) throw new Error('the chain of the installation is not there');
    return head;
  });
  if ((await insert(trx, rows)) < BigInt(rows.length)) {
    throw new BrokerError('STORE_CONFLICT', { detail: 'this is on the audit record already' });
  }
  await moveHeads(trx, [...heads.values()]);
  return heads;
}

/** Begins the chain of a tenant that is being created. */
export async function beginChain(trx: Transaction<Schema>, tenant: string): Promise<void> {
  await trx
    .insertInto('audit_chains')
    .values(emptyChain(tenant))
    .onConflict((conflict) => conflict.column('chain').doNothing())
    .execute();
}

/** Which of the records are written, in the order given. */
export async function writtenRecords(db: Kysely<Schema>, records: readonly AuditRecord[]): Promise<readonly boolean[]> {
  return writtenPreparedRecords(db, records.map(prepareRecord));
}

/** Which of the records are written, in the order given. */
export async function writtenPreparedRecords(
  db: Kysely<Schema>,
  records: readonly PreparedRecord[],
): Promise<readonly boolean[]> {
  const leaves = records.map(({ leaf }) => leaf);
  const instants = records.map(({ record }) => record.at);
  const { rows } = await sql<{ leaf: Buffer }>`
    select leaf from audit_log
    where at = any (${instants}::timestamptz[]) and leaf = any (${leaves}::bytea[])`.execute(db);
  const written = new Set(rows.map(({ leaf }) => leaf.toString('hex')));
  return leaves.map((leaf) => written.has(leaf.toString('hex')));
}

/** Locks the heads of the chains that records of these tenants go to; a name that is no tenant's leads to the installation's. */
async function lockHeads(trx: Transaction<Schema>, tenants: ReadonlySet<string>): Promise<Map<string, ChainHead>> {
  const { rows } = await sql<{ chain: string; seq: string; hash: Buffer }>`
    select chain, seq, hash from audit_chains
    where chain = any (array(
      select coalesce((select known.chain from audit_chains known where known.chain = named), ${installationChain})
      from unnest(${[...tenants]}::text[]) as named
    ))
    order by chain for update`.execute(trx);
  return new Map(rows.map(({ chain, seq, hash }) => [chain, { chain, seq: Number(seq), hash }]));
}

/** Answers how many were not written before. */
async function insert(trx: Transaction<Schema>, rows: readonly ChainedRow[]): Promise<bigint> {
  const result = await sql`
    insert into audit_log (${writtenColumns})
    select ${writtenColumns} from ${rowsOf(rows)}
    where not exists (select from audit_log written where written.at = new.at and written.leaf = new.leaf)
    order by place`.execute(trx);
  return result.numAffectedRows ?? 0n;
}

async function moveHeads(trx: Transaction<Schema>, heads: readonly ChainHead[]): Promise<void> {
  await sql`
    update audit_chains set seq = new.seq, hash = new.hash
    from unnest(
      ${heads.map(({ chain }) => chain)}::text[],
      ${heads.map(({ seq }) => seq)}::bigint[],
      ${heads.map(({ hash }) => hash)}::bytea[]
    ) as new (chain, seq, hash)
    where audit_chains.chain = new.chain`.execute(trx);
}
