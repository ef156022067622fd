/** What the flows need to know of who may read what, and who is shut out. Every method may throw STORE_UNAVAILABLE. */
import type { AuditRecord } from '../domain/audit-record.ts';
import type { RuleTerms } from '../domain/workload-rule.ts';

/** Lets a workload, or all below a path of SPIFFE IDs, read a channel. */
export interface WorkloadAccess extends RuleTerms {
  /** A SPIFFE ID, or a path with `/*` at its end. */
  readonly spiffeId: string;
  readonly channel: string;
  readonly tenant: string;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

export interface WorkloadAccesses {
  /** Adds the rule, or puts it in the place of the one for the same workloads and channel. */
  allow(access: WorkloadAccess, record: AuditRecord): Promise<void>;
  /** STORE_CONFLICT where there is no such rule. */
  remove(rule: Pick<WorkloadAccess, 'spiffeId' | 'channel'>, record: AuditRecord): Promise<void>;
  find(spiffeId: string, channel: string): Promise<WorkloadAccess | undefined>;
  listByChannel(channel: string): Promise<readonly WorkloadAccess[]>;
  /** All rules, or a tenant's, or those that name the workload; also those that have ended. */
  list(filter: { readonly tenant?: string; readonly spiffeId?: string }): Promise<readonly WorkloadAccess[]>;
  /** The rules that name these workloads for these channels, one for each workload that they name. */
  listFor(
    spiffeIds: readonly string[],
    channels: readonly string[],
  ): Promise<readonly (RuleTerms & Pick<WorkloadAccess, 'spiffeId' | 'channel'>)[]>;
}

/** Shuts a workload out, whatever the rules say. */
export interface WorkloadDenial {
  /** A SPIFFE ID, or the serial number of a certificate as Vault writes it: `1a:2b:…`. */
  readonly subject: string;
  /** The tenant whose channels it is shut out of; undefined for everything. */
  readonly tenant: string | undefined;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: Date;
}

export interface WorkloadDenials {
  /** Adds it; once more changes the reason. */
  deny(denial: WorkloadDenial, record: AuditRecord): Promise<void>;
  /** STORE_CONFLICT where it is not denied. */
  lift(denial: Pick<WorkloadDenial, 'subject' | 'tenant'>, record: AuditRecord): Promise<void>;
  list(): Promise<readonly WorkloadDenial[]>;
  /** Who is shut out of everything. */
  subjects(): Promise<readonly string[]>;
}
