/**
 * The hash chain of the audit record: pure, and told byte by byte in docs/audit.md, so that an auditor can compute it
 * without this code.
 *
 * Each tenant has a chain of its own, numbered 1, 2, 3 … without gaps; what belongs to no tenant is in the chain of the
 * installation. Whoever changes, removes, moves or inserts a record has to compute every later hash anew, and those are
 * signed by Vault now and then (audit-checkpoint.ts).
 */
import { hash } from 'node:crypto';
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

/** What a record is hashed by, as UTF-8: a JSON array in the form of RFC 8785; undefined for a version not known here. */
export function recordText(record: AuditRecord, version: number = recordVersion): string | undefined {
  if (version !== 1) return undefined;
  const { at, action, result, callerKind, caller, ip, requestId, tenant, channel, facts } = record;
  const texts = [
    at.toISOString(),
    action,
    result,
    callerKind,
    caller,
    ip ?? null,
    requestId,
    tenant ?? null,
    channel ?? null,
  ];
  // Strings in an array are the same in both forms; that of the language is the faster one.
  return `["audit-record/1",${JSON.stringify(texts).slice(1, -1)},${canonicalJson(facts)}]`;
}

/** SHA-256 of a zero byte and the record's text; undefined for a version not known here. */
export function leafHash(record: AuditRecord, version?: number): Buffer | undefined {
  const text = recordText(record, version);
  return text === undefined ? undefined : hash('sha256', leafPrefix + text, 'buffer');
}

/** The head of a chain without records: its hash is that of the chain's name, so that no chain can pass for another. */
export function emptyChain(chain: string): ChainHead {
  const name = canonicalJson(['audit-chain/1', chain]);
  return { chain, seq: 0, hash: hash('sha256', leafPrefix + name, 'buffer') };
}

/** The hash of a chain with one record more: SHA-256 of a one byte, the hash before, `seq` (8 bytes, big-endian), the leaf. */
export function chainedHash(previous: Buffer, seq: number, leaf: Buffer): Buffer {
  linkBytes.set(previous, 1);
  linkBytes.writeUInt32BE(Math.floor(seq / 2 ** 32), 33);
  linkBytes.writeUInt32BE(seq % 2 ** 32, 37);
  linkBytes.set(leaf, 41);
  return hash('sha256', linkBytes, 'buffer');
}

/** Puts a record behind the head. */
export function appended(head: ChainHead, record: AuditRecord): ChainLink {
  return appendedLeaf(head, newestLeaf(record));
}

/** Puts a record behind the head, by its leaf as it is written today. */
export function appendedLeaf(head: ChainHead, leaf: Buffer): ChainLink {
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
const leafPrefix = '\0';
const linkPrefix = 1;

/** What a link is hashed by; the same bytes for each, since making new ones takes longer than the hash. */
const linkBytes = Buffer.alloc(73, linkPrefix);
