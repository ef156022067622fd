/** What deleting the beginnings of audit chains needs from the store; as the owner of the tables only. */
import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import type { ExportedRecord } from '../domain/audit-export.ts';
import type { PrunableStretch } from '../domain/audit-prune.ts';
import type { AuditRecord } from '../domain/audit-record.ts';

/** Every method may throw STORE_UNAVAILABLE. */
export interface AuditPruning {
  /**
   * The longest beginning of each chain that was signed, and each record of it made, at or before the cutoff. By chain; those
   * of which nothing is so old are left out.
   */
  due(cutoff: Date): Promise<readonly PrunableStretch[]>;
  /** As much of the beginning of a stretch as has at most so many records, but at least up to the next checkpoint. */
  firstPart(stretch: PrunableStretch, most: number): Promise<PrunableStretch>;
  /** The checkpoint before the first record; undefined where that is record 1. */
  opening(stretch: PrunableStretch): Promise<Checkpoint | undefined>;
  /** The newest record of a prune in a chain, and its number. */
  newestPrune(chain: string): Promise<{ readonly seq: number; readonly record: AuditRecord } | undefined>;
  /** The records as they are stored, in the order of `seq`. */
  read(stretch: PrunableStretch): AsyncIterable<ExportedRecord>;
  /**
   * Deletes the records, and the checkpoints before the last one, all or none, with the record of it. Throws STORE_CONFLICT
   * where this is not the chain's beginning (any more), or a record of it is younger than the cutoff.
   */
  prune(stretch: PrunableStretch, cutoff: Date, record: AuditRecord): Promise<void>;
}
