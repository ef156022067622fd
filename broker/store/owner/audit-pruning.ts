import { type Selectable, sql } from 'kysely';
import type { Checkpoint } from '../../domain/audit-checkpoint.ts';
import { lengthOf, pruneAction } from '../../domain/audit-prune.ts';
import { BrokerError } from '../../errors.ts';
import type { AuditPruning } from '../../ports.ts';
import { toCheckpoint, toExported } from '../audit-rows.ts';
import type { Database } from '../database.ts';
import { recorded } from '../recorded.ts';
import type { AuditCheckpointsTable, AuditLogTable } from '../schema.ts';

/** Rows that are read at a time. */
const batch = 1_000;

/**
 * Deletes the beginnings of audit chains, as the owner of the tables; the triggers of migration 0016 refuse everything else.
 * The rows go first and the head of the chain is locked last, so that brokers go on recording meanwhile. Of two that prune
 * one chain, the second waits for the rows of the first and then finds them gone.
 */
export function createAuditPruning(database: Database): AuditPruning {
  return {
    due: (cutoff) =>
      database.run(async (db) => {
        const { rows } = await sql<Selectable<AuditCheckpointsTable> & { first: string }>`
          select oldest.seq as first, signed.*
          from audit_chains head
          cross join lateral (select seq from audit_log where chain = head.chain order by seq limit 1) oldest
          cross join lateral (
            select * from audit_checkpoints
            where chain = head.chain and seq >= oldest.seq and at <= ${cutoff} and seq < coalesce(
              (select seq from audit_log where chain = head.chain and at > ${cutoff} order by seq limit 1), head.seq + 1)
            order by seq desc limit 1
          ) signed
          order by head.chain`.execute(db);
        return rows.map((row) => ({ from: Number(row.first), through: toCheckpoint(row) }));
      }),

    firstPart: async ({ from, through }, most) => {
      const { rows } = await database.run((db) =>
        sql<Selectable<AuditCheckpointsTable>>`
          select * from audit_checkpoints where chain = ${through.chain} and seq = coalesce(
            (select max(seq) from audit_checkpoints
              where chain = ${through.chain} and seq between ${from} and ${Math.min(through.seq, from + most - 1)}),
            (select min(seq) from audit_checkpoints where chain = ${through.chain} and seq >= ${from})
          )`.execute(db),
      );
      return { from, through: rows[0] ? toCheckpoint(rows[0]) : through };
    },

    opening: ({ from, through }) => checkpointAt(through.chain, from - 1),

    newestPrune: async (chain) => {
      const { rows } = await database.run((db) =>
        sql<Selectable<AuditLogTable>>`
          select * from audit_log where chain = ${chain} and action = ${pruneAction} order by seq desc limit 1`.execute(
          db,
        ),
      );
      return rows[0] && toExported(rows[0]);
    },

    async *read({ from, through: { chain, seq: last } }) {
      for (let next = from; next <= last; next += batch) {
        const { rows } = await database.run((db) =>
          sql<Selectable<AuditLogTable>>`
            select * from audit_log where chain = ${chain} and seq >= ${next} and seq < ${next + batch} and seq <= ${last}
            order by seq`.execute(db),
        );
        yield* rows.map(toExported);
      }
    },

    prune: (stretch, cutoff, record) =>
      recorded(database, record, async (trx) => {
        const { chain, seq } = stretch.through;
        await sql`select set_config('token_broker.audit_prune', pg_current_xact_id()::text, true)`.execute(trx);
        const { rows } = await sql<{ records: number; first: string | null; newest: Date | null }>`
          with gone as (delete from audit_log where chain = ${chain} and seq <= ${seq} returning seq, at)
          select count(*)::integer as records, min(seq) as first, max(at) as newest from gone`.execute(trx);
        const [gone] = rows;
        const fits = gone?.records === lengthOf(stretch) && Number(gone.first) === stretch.from;
        if (!fits || !gone.newest || gone.newest > cutoff) {
          throw new BrokerError('STORE_CONFLICT', {
            detail: 'this is not the beginning of the chain, or not old enough',
          });
        }
        await sql`delete from audit_checkpoints where chain = ${chain} and seq < ${seq}`.execute(trx);
      }),
  };

  async function checkpointAt(chain: string, seq: number): Promise<Checkpoint | undefined> {
    const row = await database.run((db) =>
      db
        .selectFrom('audit_checkpoints')
        .selectAll()
        .where('chain', '=', chain)
        .where('seq', '=', String(seq))
        .executeTakeFirst(),
    );
    return row && toCheckpoint(row);
  }
}
