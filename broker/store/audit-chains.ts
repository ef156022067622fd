import { type Kysely, type Selectable, sql } from 'kysely';
import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import type { ExportedRecord } from '../domain/audit-export.ts';
import type { AuditChains } from '../ports.ts';
import { toAuditRecord } from './audit-log-row.ts';
import type { Database } from './database.ts';
import type { AuditCheckpointsTable, AuditLogTable, Schema } from './schema.ts';

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

    async *read(chain, from) {
      // Chains only grow: what is there up to this end does not change while it is read.
      const end = await head(chain);
      if (!end) return;
      let after = await database.run((db) => beginning(db, chain, from));
      const opening = after > 0 ? await database.run((db) => newestBelow(db, chain, after + 1)) : undefined;
      if (opening) yield opening;
      while (after < end.seq) {
        const until = Math.min(after + batch, end.seq);
        const [records, checkpoints] = await database.run((db) => between(db, chain, after, until));
        yield* inOrder(records, checkpoints);
        after = until;
      }
    },
  };
}

/** The number that the export begins behind: that of a checkpoint, or 0, or the one before the oldest record there is. */
async function beginning(db: Kysely<Schema>, chain: string, from: number | undefined): Promise<number> {
  if (from !== undefined) return (await newestBelow(db, chain, from))?.seq ?? 0;
  const oldest = await db
    .selectFrom('audit_log')
    .select('seq')
    .where('chain', '=', chain)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst();
  return oldest ? Number(oldest.seq) - 1 : 0;
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

function* inOrder(records: readonly ExportedRecord[], checkpoints: readonly Checkpoint[]) {
  let next = 0;
  for (const record of records) {
    for (; checkpoints[next] !== undefined && Number(checkpoints[next]?.seq) < record.seq; next++) {
      yield checkpoints[next] as Checkpoint;
    }
    yield record;
  }
  yield* checkpoints.slice(next);
}

function toExported(row: Selectable<AuditLogTable>): ExportedRecord {
  const { chain, version, hash } = row;
  return { type: 'record', chain, seq: Number(row.seq), version, hash, record: toAuditRecord(row) };
}

function toCheckpoint(row: Selectable<AuditCheckpointsTable>): Checkpoint {
  const { chain, hash, at, signature } = row;
  return { chain, seq: Number(row.seq), hash, at, keyVersion: row.key_version, signature };
}
