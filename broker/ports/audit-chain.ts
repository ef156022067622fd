/** What signing, anchoring and exporting the audit chains need from the store and from Vault. */
import type { ChainHead } from '../domain/audit-chain.ts';
import type { Checkpoint, CheckpointKey } from '../domain/audit-checkpoint.ts';
import type { ExportLine } from '../domain/audit-export.ts';

export interface UnsignedChain extends ChainHead {
  /** The newest checkpoint; undefined where there is none yet. */
  readonly signed: { readonly seq: number; readonly at: Date } | undefined;
}

/** What a chain has to be exported. */
export type ChainLine = Extract<ExportLine, { type: 'record' | 'checkpoint' | 'end' }>;

/** The chains of the audit record. Every method may throw STORE_UNAVAILABLE. */
export interface AuditChains {
  /** All chains that have a record, with the newest checkpoint of each. */
  heads(): Promise<readonly UnsignedChain[]>;
  /** Undefined where there is no such chain. */
  head(chain: string): Promise<ChainHead | undefined>;
  /** The hash at a record: of the record, or of the checkpoint there where the record was deleted by age; else undefined. */
  hashAt(chain: string, seq: number): Promise<Buffer | undefined>;
  /** Stores a checkpoint where the newest is still `after`; answers whether it did: another broker may have been first. */
  addCheckpoint(checkpoint: Checkpoint, after: number): Promise<boolean>;
  /**
   * A chain as it was at one instant, whatever is recorded, signed or deleted by age while it is read: records and checkpoints
   * in the order of `seq`, then its end. Begins with the first record there is, or with the newest checkpoint below `from`
   * where it is given; where records were deleted, with the checkpoint before the first. Nothing where there is no such chain.
   */
  read(chain: string, from?: number): AsyncIterable<ChainLine>;
}

/** The transit key `audit-checkpoint`. Methods throw VAULT_SEALED, VAULT_UNAVAILABLE or VAULT_FORBIDDEN. */
export interface CheckpointSigner {
  sign(unsigned: Omit<Checkpoint, 'keyVersion' | 'signature'>): Promise<Checkpoint>;
  /** The public halves of all versions. */
  keys(): Promise<readonly CheckpointKey[]>;
}

/** The newest checkpoint of each chain, in Vault and so outside the database. Methods throw as those of the signer. */
export interface AuditAnchors {
  find(chain: string): Promise<Anchor | undefined>;
  /** Writes where the anchor is still of that version; throws STORE_CONFLICT where somebody else was first. */
  put(checkpoint: Checkpoint, version: number): Promise<void>;
}

export interface Anchor {
  readonly checkpoint: Checkpoint;
  /** Of the KV entry, for check-and-set; 0 for none. */
  readonly version: number;
}
