/**
 * Writes groups of records that stand alone, each group in one statement that is its own transaction.
 *
 * A chain's hashes need its head. Here the heads are remembered from the group before, so that everything is hashed when
 * the statement is sent; the statement locks the heads and writes only where they are still those. Where another has
 * written meanwhile, it answers the heads of now and the group is hashed anew. So a group costs one way to the database
 * instead of five, and no lock waits for this process.
 */
import { type Kysely, sql } from 'kysely';
import type { ChainHead } from '../domain/audit-chain.ts';
import { BrokerError } from '../errors.ts';
import type { PreparedRecord } from '../ports.ts';
import { writePreparedRecords } from './audit-writer.ts';
import { type ChainedRow, chained, rowsOf, tenantsOf, writtenColumns } from './chained-rows.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/** How often a group is hashed anew; then it is written behind locked heads, which nobody can move. */
const mostTries = 3;

/**
 * Writes all of the records or none. Throws STORE_CONFLICT where one of them is written already.
 *
 * @param firstTime none of them has been tried before, so none needs to be looked for
 */
export type AppendAuditRecords = (records: readonly PreparedRecord[], firstTime: boolean) => Promise<void>;

export function createAuditAppender(database: Database): AppendAuditRecords {
  /** By chain, as this process has seen them last; never trusted. */
  const known = new Map<string, ChainHead>();
  const learn = (heads: Iterable<ChainHead>) => {
    for (const head of heads) known.set(head.chain, head);
  };

  async function tryKnownHeads(records: readonly PreparedRecord[], firstTime: boolean): Promise<boolean> {
    const tenants = tenantsOf(records);
    for (let tries = 0; tries < mostTries && [...tenants].every((tenant) => known.has(tenant)); tries += 1) {
      const { rows, heads } = chained(records, (tenant) => known.get(tenant) as ChainHead);
      const before = [...tenants].map((tenant) => known.get(tenant) as ChainHead);
      const found = await database.run((db) => append(db, { rows, before, after: heads, firstTime }));
      if (found.written) {
        learn(heads.values());
        return true;
      }
      if (found.unmoved) throw new BrokerError('STORE_CONFLICT', { detail: 'this is on the audit record already' });
      learn(found.heads);
    }
    return false;
  }

  return async (records, firstTime) => {
    if (records.length === 0 || (await tryKnownHeads(records, firstTime))) return;
    const heads = await database.transaction((trx) => writePreparedRecords(trx, records));
    learn(heads.values());
  };
}

interface Found {
  readonly written: boolean;
  /** The heads were as expected; so where nothing was written, one of the records is there. */
  readonly unmoved: boolean;
  readonly heads: readonly ChainHead[];
}

/**
 * In one snapshot, and all or nothing. A record that another transaction has just written is not in the snapshot, but then
 * the head of its chain, which is read behind the lock, is another.
 */
async function append(
  db: Kysely<Schema>,
  group: {
    readonly rows: readonly ChainedRow[];
    readonly before: readonly ChainHead[];
    readonly after: ReadonlyMap<string, ChainHead>;
    readonly firstTime: boolean;
  },
): Promise<Found> {
  const { rows, before, after, firstTime } = group;
  const isWritten = firstTime
    ? sql`false`
    : sql`exists (select from new join audit_log written on written.at = new.at and written.leaf = new.leaf)`;
  const { rows: found } = await sql<{ chain: string; seq: string; hash: Buffer; unmoved: boolean; fits: boolean }>`
    with expected as (
      select * from unnest(
        ${before.map(({ chain }) => chain)}::text[],
        ${before.map(({ seq }) => seq)}::bigint[],
        ${before.map(({ hash }) => hash)}::bytea[],
        ${before.map(({ chain }) => after.get(chain)?.seq)}::bigint[],
        ${before.map(({ chain }) => after.get(chain)?.hash)}::bytea[]
      ) as expected (chain, seq, hash, next_seq, next_hash)
    ), locked as (
      select chain, seq, hash from audit_chains where chain = any (array(select chain from expected))
      order by chain for update
    ), new as materialized (
      select * from ${rowsOf(rows)}
    ), verdict as materialized (
      select unmoved, unmoved and not ${isWritten} as fits
      from (
        select count(*) = ${before.length} as unmoved
        from locked join expected using (chain, seq, hash)
      ) as compared
    ), moved as (
      update audit_chains set seq = expected.next_seq, hash = expected.next_hash
      from expected, verdict
      where verdict.fits and audit_chains.chain = expected.chain
    ), inserted as (
      insert into audit_log (${writtenColumns})
      select ${writtenColumns} from new, verdict where verdict.fits order by place
    )
    select locked.chain, locked.seq, locked.hash, verdict.unmoved, verdict.fits from locked, verdict`.execute(db);
  const [first] = found;
  return {
    written: first?.fits === true,
    unmoved: first?.unmoved === true,
    heads: found.map(({ chain, seq, hash }) => ({ chain, seq: Number(seq), hash })),
  };
}
