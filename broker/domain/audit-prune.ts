/**
 * The beginning of an audit chain that is kept no longer: always whole, from the oldest record there is to one that Vault
 * signed. Its deletion is a record of the chain itself, so that whoever verifies the rest can tell it from a beginning that
 * somebody cut away.
 */
import { chainedHash, emptyChain, leafHash } from './audit-chain.ts';
import type { Checkpoint } from './audit-checkpoint.ts';
import type { ExportedRecord } from './audit-export.ts';
import type { AuditRecord } from './audit-record.ts';

export const pruneAction = 'audit.prune';

/** Records of one chain, from the oldest there is to the one that the checkpoint signs. */
export interface PrunableStretch {
  readonly from: number;
  /** What the rest begins behind; it is kept. */
  readonly through: Checkpoint;
}

/** What a prune says of itself on the record. */
export interface PruneRecord {
  readonly from: number;
  readonly through: number;
  /** The hash at `through`, in hexadecimal digits. */
  readonly hash: string;
  /** When Vault signed it. */
  readonly checkpointAt: Date;
  /** What was recorded at or before this instant was deleted. */
  readonly before: Date;
}

/** The last instant that is old enough; undefined where the record is kept for ever (`retentionMs` is 0). */
export function pruneCutoff(now: Date, retentionMs: number): Date | undefined {
  return retentionMs === 0 ? undefined : new Date(now.getTime() - retentionMs);
}

/** How many records the stretch has: a chain has no gaps. */
export function lengthOf({ from, through }: PrunableStretch): number {
  return through.seq - from + 1;
}

/** The facts of `audit.prune`. */
export function pruneFacts(
  stretch: PrunableStretch,
  { before, retentionMs, databaseRole }: { before: Date; retentionMs: number; databaseRole: string },
): AuditRecord['facts'] {
  const { from, through } = stretch;
  return {
    from,
    through: through.seq,
    records: lengthOf(stretch),
    hash: through.hash.toString('hex'),
    checkpointAt: through.at.toISOString(),
    keyVersion: through.keyVersion,
    before: before.toISOString(),
    keptSeconds: Math.floor(retentionMs / 1_000),
    databaseRole,
  };
}

/** Reads what a record says of a prune; undefined where it is of something else. */
export function readPrune({ action, result, facts }: AuditRecord): PruneRecord | undefined {
  if (action !== pruneAction || result !== 'ok') return undefined;
  const { from, through, hash, checkpointAt, before } = facts;
  const [signed, cutoff] = [instant(checkpointAt), instant(before)];
  if (typeof from !== 'number' || typeof through !== 'number' || typeof hash !== 'string') return undefined;
  return signed && cutoff && { from, through, hash, checkpointAt: signed, before: cutoff };
}

/**
 * Whether the records are the stretch, whole and as they were hashed: what was changed must stay, because it is evidence.
 *
 * @param opening the checkpoint before the first; undefined where the chain begins with it.
 */
export async function isAsSigned(
  { from, through }: PrunableStretch,
  opening: Checkpoint | undefined,
  records: AsyncIterable<ExportedRecord>,
): Promise<boolean> {
  const start = opening ?? emptyChain(through.chain);
  if (start.seq !== from - 1) return false;
  let { seq, hash } = start;
  for await (const line of records) {
    const leaf = leafHash(line.record, line.version);
    if (line.seq !== seq + 1 || !leaf) return false;
    seq = line.seq;
    hash = chainedHash(hash, seq, leaf);
    if (!hash.equals(line.hash)) return false;
  }
  return seq === through.seq && hash.equals(through.hash);
}

function instant(fact: unknown): Date | undefined {
  const read = typeof fact === 'string' ? new Date(fact) : undefined;
  return read && !Number.isNaN(read.getTime()) ? read : undefined;
}
