import type { Transaction } from 'kysely';
import type { AuditRecord } from '../domain/audit-record.ts';
import { BrokerError } from '../errors.ts';
import { writeAuditRecord, writtenRecords } from './audit-writer.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/**
 * Makes a change and writes its record, both or neither. May be repeated with the same record after a commit whose answer
 * was lost: where the record is there, the change was made, and is not made again. Two acts therefore never share a
 * record (its time, request id, target and facts tell them apart).
 */
export async function recorded(
  database: Database,
  record: AuditRecord,
  change: (trx: Transaction<Schema>) => Promise<unknown>,
): Promise<void> {
  try {
    await database.transaction(async (trx) => {
      await change(trx);
      await writeAuditRecord(trx, record);
    });
  } catch (error) {
    if (mayBeOurs(error) && (await isWritten(database, record))) return;
    throw error;
  }
}

async function isWritten(database: Database, record: AuditRecord): Promise<boolean> {
  const [written] = await database.run((db) => writtenRecords(db, [record]));
  return written === true;
}

/** What a change finds where it was made before. */
function mayBeOurs(error: unknown): boolean {
  return error instanceof BrokerError && (error.code === 'STORE_CONFLICT' || error.code === 'ALREADY_EXISTS');
}
