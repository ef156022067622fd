/** What the flows need to know, over all replicas, of the trouble of OAuth clients. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { FreezeRules, IncidentEnding, IncidentKind } from '../domain/client-incident.ts';

export interface ClientIncident {
  readonly id: number;
  readonly oauthClient: string;
  readonly kind: IncidentKind;
  readonly openedAt: Date;
  /** The code that Google answered when it was opened. */
  readonly error: string;
  readonly ended: { readonly at: Date; readonly by: string; readonly ending: IncidentEnding } | undefined;
}

/** A channel whose refresh Google answered in a way that may be the OAuth client's trouble. */
export interface Suspect {
  readonly channel: string;
  readonly tenant: string;
  readonly firstAt: Date;
  readonly lastAt: Date;
  readonly error: string;
  /** Whether it was believed before the incident was known: then the channel's state was changed. */
  readonly believed: boolean;
}

export interface Suspicion {
  readonly oauthClient: string;
  readonly channel: string;
  readonly generation: number;
  readonly error: string;
  readonly at: Date;
}

export interface IncidentEnd {
  readonly oauthClient: string;
  readonly kind: IncidentKind;
  readonly ending: IncidentEnding;
  readonly at: Date;
  readonly by: string;
}

/** What an end did to channels. */
export interface Thawed {
  /** Were changed before the incident was known, and are active again. */
  readonly restored: readonly { readonly channel: string; readonly tenant: string }[];
}

/**
 * Each method is one transaction that holds a lock of the OAuth client, so that all replicas count as one.
 * `recordOf…` make the record that is written where the thing came about.
 */
export interface ClientIncidents {
  /**
   * Google calls a grant dead. Answers whether that is believed; `withheld` where an incident is open, where this one opens it, or
   * where it is near. At most half of the minimum are ever believed before an incident.
   */
  suspect(
    suspicion: Suspicion,
    rules: FreezeRules,
    recordOfIncident: () => AuditRecord,
  ): Promise<'believed' | 'withheld' | 'opened'>;
  /** Google refuses the client itself. Opens an incident where it did so twice since the client's last success. */
  rejected(suspicion: Suspicion, recordOfIncident: () => AuditRecord): Promise<'noted' | 'opened' | 'open'>;
  /** A refresh succeeded. Ends what that shows to be over; answers the kinds that ended. */
  succeeded(
    success: Omit<Suspicion, 'error'>,
    recordOfEnd: (kind: IncidentKind) => AuditRecord,
    recordOfRestored: (channel: string, tenant: string) => AuditRecord,
  ): Promise<readonly IncidentKind[]>;
  /** A person ends an open incident. Throws INCIDENT_NOT_FOUND where none of that kind is open. */
  end(
    end: IncidentEnd,
    recordOfEnd: (thawed: Thawed) => AuditRecord,
    recordOfRestored: (channel: string, tenant: string) => AuditRecord,
  ): Promise<Thawed>;
  /** Those that are open, the oldest first. */
  open(): Promise<readonly ClientIncident[]>;
  /** The newest, open and ended. */
  list(filter: {
    readonly oauthClient?: string | undefined;
    readonly limit: number;
  }): Promise<readonly ClientIncident[]>;
  /** Of an open incident: those whose state was changed first, then the rest; how many there are in all. */
  suspects(incident: number, limit: number): Promise<{ readonly suspects: readonly Suspect[]; readonly total: number }>;
}
