import type { AuditRecord } from './audit-record.ts';

/** A record and its place in its chain. */
export interface AuditEntry {
  /** A tenant's name, or `''` for the chain of the installation. */
  readonly chain: string;
  /** 1, 2, 3 without gaps within the chain. */
  readonly seq: number;
  /** The hash of the chain up to this record, in hexadecimal digits. */
  readonly hash: string;
  readonly record: AuditRecord;
}

/** Names one record of an installation for good: `acme/17`, or `installation/17`. */
export function entryId({ chain, seq }: Pick<AuditEntry, 'chain' | 'seq'>): string {
  return `${chain === '' ? 'installation' : chain}/${seq}`;
}

/** The product, as security-event systems are told it. */
export interface ReportingProduct {
  readonly version: string;
}

export const productName = 'youtube-token-broker';

/** Tells the code of a caller who may not from that of something that did not work. */
export function isDenial(result: AuditRecord['result']): boolean {
  return result === 'UNAUTHENTICATED' || result === 'ACCESS_DENIED' || result.endsWith('_NOT_FOUND');
}
