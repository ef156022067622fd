/** What the retention clock needs from the system of record. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { RetentionCutoffs, RetentionKind } from '../domain/retention.ts';

/** One thing whose time has come. */
export interface RetentionItem {
  /** Empty for what belongs to no tenant: notifications to operators. */
  readonly tenant: string;
  readonly kind: RetentionKind;
  /** Of the channel, the consent, or the notification. */
  readonly id: string;
}

/** How many there are. */
export interface RetentionCount {
  readonly tenant: string;
  readonly kind: RetentionKind;
  readonly count: number;
}

export interface Retention {
  /** Counts everything whose time has come. */
  count(cutoffs: RetentionCutoffs): Promise<readonly RetentionCount[]>;
  /** Lists at most `limit` of it. */
  due(cutoffs: RetentionCutoffs, limit: number): Promise<readonly RetentionItem[]>;
  /**
   * Deletes these things of one tenant (or of none), all or nothing; channels stay as empty rows. Throws STORE_CONFLICT where the time of
   * one has not come (any more).
   */
  scrub(items: readonly RetentionItem[], cutoffs: RetentionCutoffs, at: Date, record: AuditRecord): Promise<void>;
}
