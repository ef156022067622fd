/**
 * Whether an export begins where it may: with record 1, where it was asked to begin, or behind what the chain itself says was
 * deleted by age. A beginning that somebody cut away has no such record, or one that says something else.
 */
import type { Checkpoint } from './audit-checkpoint.ts';
import type { PruneRecord } from './audit-prune.ts';

/** A record of a prune, where it was found. */
export interface FoundPrune extends PruneRecord {
  readonly seq: number;
  readonly at: Date;
}

export interface Beginning {
  /** What the export begins behind; undefined where it begins with record 1. */
  readonly opening: Checkpoint | undefined;
  /** The record that a part was asked for from; undefined for the whole chain. */
  readonly partFrom: number | undefined;
  /** The newest prune that is on record. */
  readonly pruned: FoundPrune | undefined;
}

/** What is wrong with a beginning, and with which records. */
export interface BeginningFault {
  readonly what: string;
  readonly seq: number;
  readonly through: number;
}

export function beginningFault({ opening, partFrom = 1, pruned }: Beginning): BeginningFault | undefined {
  const before = opening?.seq ?? 0;
  const deleted = pruned?.through ?? 0;
  if (before < deleted) {
    const what = `record ${pruned?.seq} says that records up to ${deleted} were deleted by age, and ${before + 1} is there`;
    return { what, seq: before + 1, through: deleted };
  }
  if (!opening || before < partFrom) return undefined;
  if (!pruned || before > deleted) {
    const missing = deleted + 1 < before ? `records ${deleted + 1} to ${before} are` : `record ${before} is`;
    return {
      what: `${missing} not there, and no record says that they were deleted by age: the beginning was cut away`,
      seq: deleted + 1,
      through: before,
    };
  }
  const range = { seq: pruned.from, through: before };
  if (pruned.hash !== opening.hash.toString('hex')) {
    return { what: `what record ${pruned.seq} says was deleted up to ${before} is not what Vault signed`, ...range };
  }
  if (opening.at > pruned.before) {
    const what = `records up to ${before} were not old enough: Vault signed them at ${opening.at.toISOString()}, and record ${pruned.seq} says that only those from before ${pruned.before.toISOString()} were deleted`;
    return { what, ...range };
  }
  return undefined;
}
