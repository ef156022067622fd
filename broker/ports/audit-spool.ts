/** Where records of the audit log wait while the database does not answer. */
import type { AuditRecord } from '../domain/audit-record.ts';

export interface AuditSpool {
  /** When this answers, all the records are on disk. Throws AUDIT_UNAVAILABLE where they cannot be kept: then none is. */
  append(records: readonly AuditRecord[]): Promise<void>;
  /** Whether nothing waits, and nothing is being appended. */
  isEmpty(): boolean;
  /**
   * The records that have waited longest, at most so many, in their order; undefined where none waits. Asked again
   * before `done`, it answers the same ones.
   */
  next(most: number): Promise<SpooledRecords | undefined>;
  waiting(): { readonly records: number; readonly since: Date | undefined };
  close(): Promise<void>;
}

export interface SpooledRecords {
  readonly records: readonly AuditRecord[];
  /** Takes them off the spool; those that the database will never take are kept aside for a person to look at. */
  done(refused: readonly AuditRecord[]): Promise<void>;
}
