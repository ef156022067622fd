import { type Kysely, type Selectable, sql } from 'kysely';
import type { ChainHead } from '../domain/audit-chain.ts';
import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import type { ExportedRecord } from '../domain/audit-export.ts';
import type { AuditChains, ChainLine } from '../ports.ts';
import { toCheckpoint, toExported } from './audit-rows.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/** Rows that are read at a time. */
const batch = 1_000;

/** Heads, checkpoints and exports of the chains. */
export function createAuditChains(database: Database): AuditChains {
  const head: AuditChains['head'] = async (chain) => {
    const row = await database.run((db) =>
      db.selectFrom('audit_chains').selectAll().where('chain', '=', chain).executeTakeFirst(),
    );
    return row && { chain, seq: Number(row.seq), hash: row.hash };
  };

  return {
    head,

    async heads() {
      const { rows } = await database.run((db) =>
        sql<{ chain: string; seq: string; hash: Buffer; signed_seq: string | null; signed_at: Date | null }>`
          select head.chain, head.seq, head.hash, signed.seq as signed_seq, signed.at as signed_at
          from audit_chains head left join lateral (
            select seq, at from audit_checkpoints where chain = head.chain order by seq desc limit 1
          ) signed on true
          where head.seq > 0 order by head.chain`.execute(db),
      );
      return rows.map(({ chain, seq, hash, signed_seq, signed_at }) => ({
        chain,
        seq: Number(seq),
        hash,
        signed: signed_at === null ? undefined : { seq: Number(signed_seq), at: signed_at },
      }));
    },

    async hashAt(chain, seq) {
      const { rows } = await database.run((db) =>
        sql<{ hash: Buffer }>`
          select hash from audit_log where chain = ${chain} and seq = ${seq}
          union all
          select hash from audit_checkpoints where chain = ${chain} and seq = ${seq}
          limit 1`.execute(db),
      );
      return rows[0]?.hash;
    },

    addCheckpoint: (checkpoint, after) =>
      database.transaction(async (trx) => {
        const { chain, seq, hash, at, keyVersion, signature } = checkpoint;
        // Held by one broker at a time, so that two that sign at once do not both store.
        await trx.selectFrom('audit_chains').select('seq').where('chain', '=', chain).forUpdate().execute();
        const newest = await newestBelow(trx, chain, Number.MAX_SAFE_INTEGER);
        if ((newest?.seq ?? 0) !== after) return false;
        await trx
          .insertInto('audit_checkpoints')
          .values({ chain, seq, hash, at, key_version: keyVersion, signature })
          .execute();
        return true;
      }),

    read: (chain, from) => database.snapshot((db) => readChain(db, chain, from)),
  };
}

/** All that a snapshot has of a chain: what is deleted by age meanwhile is still there. */
async function* readChain(db: Kysely<Schema>, chain: string, from: number | undefined): AsyncGenerator<ChainLine> {
  const row = await db.selectFrom('audit_chains').selectAll().where('chain', '=', chain).executeTakeFirst();
  if (!row) return;
  const head: ChainHead = { chain, seq: Number(row.seq), hash: row.hash };
  const opening = await openingOf(db, head, from);
  if (opening) yield { type: 'checkpoint', checkpoint: opening };
  for (let after = opening?.seq ?? 0; after < head.seq; after += batch) {
    const [records, checkpoints] = await between(db, chain, after, Math.min(after + batch, head.seq));
    yield* inOrder(records, checkpoints);
  }
  yield { type: 'end', head };
}

/** The checkpoint that an export begins behind: the newest below `from`, at the earliest the one before the oldest record. */
async function openingOf(db: Kysely<Schema>, head: ChainHead, from = 1): Promise<Checkpoint | undefined> {
  const { chain } = head;
  const oldest = await db
    .selectFrom('audit_log')
    .select('seq')
    .where('chain', '=', chain)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return newestBelow(db, chain, Math.max(from, oldest ? Number(oldest.seq) : head.seq + 1));
}

async function newestBelow(db: Kysely<Schema>, chain: string, seq: number): Promise<Checkpoint | undefined> {
  const row = await db
    .selectFrom('audit_checkpoints')
    .selectAll()
    .where('chain', '=', chain)
    .where('seq', '<', String(seq))
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && toCheckpoint(row);
}

async function between(db: Kysely<Schema>, chain: string, after: number, until: number) {
  const part = <T extends 'audit_log' | 'audit_checkpoints'>(table: T) => sql<Selectable<Schema[T]>>`
      select * from ${sql.table(table)} where chain = ${chain} and seq > ${after} and seq <= ${until} order by seq`;
  const records = await part('audit_log').execute(db);
  const checkpoints = await part('audit_checkpoints').execute(db);
  return [records.rows.map(toExported), checkpoints.rows.map(toCheckpoint)] as const;
}

function* inOrder(records: readonly ExportedRecord[], checkpoints: readonly Checkpoint[]): Generator<ChainLine> {
  let next = 0;
  for (const record of records) {
    for (let before = checkpoints[next]; before && before.seq < record.seq; before = checkpoints[++next]) {
      yield { type: 'checkpoint', checkpoint: before };
    }
    yield record;
  }
  for (const checkpoint of checkpoints.slice(next)) yield { type: 'checkpoint', checkpoint };
}
