/** What the flows need to read the audit record. */
import type { AuditEntry } from '../domain/audit-entry.ts';

/** Which records of a chain; all where nothing is given. */
export interface AuditFilter {
  readonly channel?: string;
  readonly action?: string;
  readonly result?: string;
  readonly caller?: string;
  readonly requestId?: string;
  /** From this instant on. */
  readonly since?: Date;
  /** Before this instant. */
  readonly until?: Date;
}

export interface AuditQuery {
  readonly chain: string;
  readonly filter: AuditFilter;
  /** Backwards from the newest or from before a seq, newest first; or forwards from after a seq, oldest first. */
  readonly from: { readonly before?: number } | { readonly after: number };
  readonly limit: number;
}

/** A part of a chain. May hold fewer records than were asked for, or none, although there are more: `next` tells. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** Where to go on, as `before` or `after`. Backwards it is undefined at the chain's beginning. */
  readonly next: number | undefined;
  /** The chain's newest record; 0 where there is none. */
  readonly head: number;
}

/** Reads the chains of the audit record. */
export interface AuditReader {
  page(query: AuditQuery): Promise<AuditPage>;
}
