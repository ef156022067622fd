/** Somebody who can do everything in the database, and knows how the audit record is kept there. */
import { sql } from 'kysely';
import { appended, type ChainHead, emptyChain } from '../../broker/domain/audit-chain.ts';
import { toAuditRecord } from '../../broker/store/audit-log-row.ts';
import type { Database } from '../../broker/store/database.ts';

const tables = ['audit_log', 'audit_chains', 'audit_checkpoints'];

/** Runs statements with all triggers out of the way, which are there again afterwards. */
export async function asSuperuser(database: Database, ...statements: readonly string[]): Promise<void> {
  await database.transaction(async (trx) => {
    const { rows } = await sql<{ place: string; trigger: string }>`
      select tgrelid::regclass::text as place, tgname as trigger from pg_trigger
      where tgenabled = 'A' and tgrelid::regclass::text = any (${tables}::text[])`.execute(trx);
    for (const table of tables) await sql.raw(`alter table ${table} disable trigger all`).execute(trx);
    for (const statement of statements) await sql.raw(statement).execute(trx);
    for (const { place, trigger } of rows) {
      await sql.raw(`alter table ${place} enable always trigger ${trigger}`).execute(trx);
    }
  });
}

/** Computes a chain anew from a record on. */
export async function rehash(
  database: Database,
  chain: string,
  from: number,
  to = Number.MAX_SAFE_INTEGER,
): Promise<void> {
  const [opening, rows] = await database.run(async (db) => [
    await db.selectFrom('audit_checkpoints').selectAll().where('chain', '=', chain).orderBy('seq').executeTakeFirst(),
    await db.selectFrom('audit_log').selectAll().where('chain', '=', chain).orderBy('seq').execute(),
  ]);
  const statements: string[] = [];
  let head: ChainHead =
    opening && Number(rows[0]?.seq) > 1 ? { chain, seq: Number(opening.seq), hash: opening.hash } : emptyChain(chain);
  for (const row of rows) {
    const link = appended(head, toAuditRecord(row));
    const isForged = link.seq >= from && link.seq <= to;
    head = isForged ? link : { chain, seq: Number(row.seq), hash: row.hash };
    if (!isForged) continue;
    statements.push(
      `update audit_log set leaf = '\\x${link.leaf.toString('hex')}', hash = '\\x${link.hash.toString('hex')}'
        where chain = '${chain}' and seq = ${link.seq}`,
    );
  }
  statements.push(
    `update audit_chains set hash = '\\x${head.hash.toString('hex')}', seq = ${head.seq} where chain = '${chain}'`,
  );
  await asSuperuser(database, ...statements);
}
