/**
 * Deletes from the beginning of each audit chain what is kept no longer: batch by batch, each whole up to a record that Vault
 * signed, in one transaction with its own record in that chain. So a run may be cut off anywhere, and the next one goes on.
 * What is not as it was signed is evidence: it stays, and is told.
 */
import { beginningFault } from '../domain/audit-beginning.ts';
import { installationChain } from '../domain/audit-chain.ts';
import type { Checkpoint } from '../domain/audit-checkpoint.ts';
import {
  isAsSigned,
  lengthOf,
  type PrunableStretch,
  pruneAction,
  pruneCutoff,
  pruneFacts,
  readPrune,
} from '../domain/audit-prune.ts';
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { AuditPruning, Clock } from '../ports.ts';

export interface PrunePlan {
  /** What was recorded at or before is old enough; undefined where the record is kept for ever. */
  readonly before: Date | undefined;
  /** At most one for each chain. */
  readonly due: readonly PrunableStretch[];
}

export interface PruneResult {
  readonly before: Date | undefined;
  /** The batches, in the order of their deletion. */
  readonly pruned: readonly PrunableStretch[];
}

export interface PruneAudit {
  /** What a run would delete now. */
  plan(): Promise<PrunePlan>;
  /**
   * Deletes it. Throws AUDIT_CHAIN_BROKEN at its end where chains are not as they were signed; all others are pruned then.
   *
   * @param onBatch told after each, with the number of records so far and of those that were due at the start.
   */
  run(caller: Scheduler, onBatch: (soFar: number, total: number) => void): Promise<PruneResult>;
}

export function createPruneAudit(deps: {
  readonly pruning: AuditPruning;
  readonly clock: Clock;
  /** 0 for ever. */
  readonly retentionMs: number;
  /** The most records of one batch, unless one checkpoint covers more. */
  readonly mostPerBatch: number;
  /** Goes on record. */
  readonly databaseRole: string;
}): PruneAudit {
  const { pruning, clock, retentionMs, mostPerBatch, databaseRole } = deps;

  async function plan(): Promise<PrunePlan> {
    const before = pruneCutoff(clock.now(), retentionMs);
    return { before, due: before ? await pruning.due(before) : [] };
  }

  /** Deletes a stretch part by part; answers whether it is as it was signed. */
  async function pruneChain(
    caller: Scheduler,
    stretch: PrunableStretch,
    before: Date,
    onPart: (part: PrunableStretch) => void,
  ): Promise<boolean> {
    const { chain, seq: last } = stretch.through;
    for (let left: PrunableStretch | undefined = stretch; left; ) {
      const part: PrunableStretch = await pruning.firstPart(left, mostPerBatch);
      const failure = await prunePart(caller, part, before);
      if (!failure) {
        onPart(part);
        left = part.through.seq < last ? { from: part.through.seq + 1, through: stretch.through } : undefined;
        continue;
      }
      // Another one that prunes may have been faster: what is left by now? Where nothing has moved, it is what it looks like.
      left = (await pruning.due(before)).find((each) => each.through.chain === chain && each.through.seq <= last);
      if (left?.from !== part.from) continue;
      if (failure.code === 'AUDIT_CHAIN_BROKEN') return false;
      throw failure;
    }
    return true;
  }

  async function prunePart(caller: Scheduler, part: PrunableStretch, before: Date): Promise<BrokerError | undefined> {
    const opening = await pruning.opening(part);
    if (!(await mayBegin(opening, part)) || !(await isAsSigned(part, opening, pruning.read(part)))) {
      return new BrokerError('AUDIT_CHAIN_BROKEN');
    }
    const { chain } = part.through;
    const target = chain === installationChain ? {} : { tenant: chain };
    const facts = pruneFacts(part, { before, retentionMs, databaseRole });
    try {
      await pruning.prune(part, before, auditRecord(clock.now(), caller, pruneAction, 'ok', target, facts));
      return undefined;
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (error.code === 'STORE_CONFLICT') return error;
      throw error;
    }
  }

  /** A beginning that somebody cut away must not be covered by what we say of ours. */
  async function mayBegin(opening: Checkpoint | undefined, { from, through }: PrunableStretch): Promise<boolean> {
    if (from === 1) return true;
    const newest = await pruning.newestPrune(through.chain);
    const prune = newest && readPrune(newest.record);
    const pruned = prune && { ...prune, seq: newest.seq, at: newest.record.at };
    return opening !== undefined && !beginningFault({ opening, partFrom: undefined, pruned });
  }

  return {
    plan,

    async run(caller, onBatch) {
      const { before, due } = await plan();
      if (!before) return { before, pruned: [] };
      const total = due.reduce((sum, stretch) => sum + lengthOf(stretch), 0);
      const pruned: PrunableStretch[] = [];
      const broken: string[] = [];
      let soFar = 0;
      for (const stretch of due) {
        const fits = await pruneChain(caller, stretch, before, (part) => {
          pruned.push(part);
          soFar += lengthOf(part);
          onBatch(soFar, Math.max(soFar, total));
        });
        if (!fits) broken.push(stretch.through.chain || 'installation');
      }
      if (broken.length === 0) return { before, pruned };
      const detail = `not as it was signed, and so not deleted: the record of ${broken.join(', ')}`;
      throw new BrokerError('AUDIT_CHAIN_BROKEN', { detail });
    },
  };
}
