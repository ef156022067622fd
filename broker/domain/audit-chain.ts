/**
 * The hash chain of the audit record: pure, and told byte by byte in docs/audit.md, so that an auditor can compute it
 * without this code.
 *
 * Each tenant has a chain of its own, numbered 1, 2, 3 … without gaps; what belongs to no tenant is in the chain of the
 * installation. Whoever changes, removes, moves or inserts a record has to compute every later hash anew, and those are
 * signed by Vault now and then (audit-checkpoint.ts).
 */
import { createHash } from 'node:crypto';
import type { AuditRecord } from './audit-record.ts';
import { canonicalJson } from './canonical-json.ts';

/** The chain of records that name no tenant, or one that does not exist: strangers must not be able to begin chains. */
export const installationChain = '';

/** The newest way of turning a record into bytes; the older ones stay readable for as long as there are records of them. */
export const recordVersion = 1;

/** The end of a chain: its newest record. `seq` is 0 where there is none yet. */
export interface ChainHead {
  /** A tenant's name, or `''` for the installation. */
  readonly chain: string;
  readonly seq: number;
  /** 32 bytes. */
  readonly hash: Buffer;
}

/** Where a record is in its chain. */
export interface ChainLink extends ChainHead {
  readonly version: number;
  /** Hash of the record's own content. */
  readonly leaf: Buffer;
}

/** The bytes that a record is hashed by: a JSON array in the form of RFC 8785; undefined for a version not known here. */
export function recordBytes(record: AuditRecord, version: number = recordVersion): Buffer | undefined {
  if (version !== 1) return undefined;
  const fields = [
    'audit-record/1',
    record.at.toISOString(),
    record.action,
    record.result,
    record.callerKind,
    record.caller,
    record.ip ?? null,
    record.requestId,
    record.tenant ?? null,
    record.channel ?? null,
    record.facts,
  ];
  return Buffer.from(canonicalJson(fields));
}

/** SHA-256 of a zero byte and the record's bytes; undefined for a version not known here. */
export function leafHash(record: AuditRecord, version?: number): Buffer | undefined {
  const bytes = recordBytes(record, version);
  return bytes && createHash('sha256').update(leafPrefix).update(bytes).digest();
}

/** The head of a chain without records: its hash is that of the chain's name, so that no chain can pass for another. */
export function emptyChain(chain: string): ChainHead {
  const hash = createHash('sha256')
    .update(leafPrefix)
    .update(canonicalJson(['audit-chain/1', chain]))
    .digest();
  return { chain, seq: 0, hash };
}

/** The hash of a chain with one record more: SHA-256 of a one byte, the hash before, `seq` (8 bytes, big-endian), the leaf. */
export function chainedHash(previous: Buffer, seq: number, leaf: Buffer): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(seq));
  return createHash('sha256').update(linkPrefix).update(previous).update(number).update(leaf).digest();
}

/** Puts a record behind the head. */
export function appended(head: ChainHead, record: AuditRecord): ChainLink {
  const leaf = newestLeaf(record);
  const seq = head.seq + 1;
  return { chain: head.chain, seq, version: recordVersion, leaf, hash: chainedHash(head.hash, seq, leaf) };
}

/** The leaf as it is written today. */
export function newestLeaf(record: AuditRecord): Buffer {
  const leaf = leafHash(record);
  if (!leaf) throw new Error(`no way to write records of version ${recordVersion}`);
  return leaf;
}

/** As in RFC 6962 section 2.1: what is hashed as a record can never be taken for what is hashed as a link. */
const leafPrefix = Buffer.from([0]);
const linkPrefix = Buffer.from([1]);
