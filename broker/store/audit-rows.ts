/** Rows of the audit chains, as an export has them. */
import type { Selectable } from 'kysely';
import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import type { ExportedRecord } from '../domain/audit-export.ts';
import { toAuditRecord } from './audit-log-row.ts';
import type { AuditCheckpointsTable, AuditLogTable } from './schema.ts';

export function toExported(row: Selectable<AuditLogTable>): ExportedRecord {
  const { chain, version, hash } = row;
  return { type: 'record', chain, seq: Number(row.seq), version, hash, record: toAuditRecord(row) };
}

export function toCheckpoint(row: Selectable<AuditCheckpointsTable>): Checkpoint {
  const { chain, hash, at, signature } = row;
  return { chain, seq: Number(row.seq), hash, at, keyVersion: row.key_version, signature };
}
