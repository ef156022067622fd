import { installationChain } from '../domain/audit-chain.ts';
import { type AuditRecord, auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { type RetentionTerms, retentionCutoffs } from '../domain/retention.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, RetentionCount, RetentionItem, Store } from '../ports.ts';

export interface RetentionRun {
  /** How many things were deleted. */
  readonly deleted: number;
  /** Whether the run ended because it was full; the next one goes on. */
  readonly more: boolean;
}

export interface ApplyRetention {
  /** What a run would delete now, were it not bounded. */
  plan(): Promise<readonly RetentionCount[]>;
  /** Deletes at most so much as a run may, tenant by tenant, each with its own record. Safe to cut off and to repeat. */
  run(caller: Scheduler): Promise<RetentionRun>;
}

export interface RetentionSettings extends RetentionTerms {
  /** The most things that one run deletes. */
  readonly mostPerRun: number;
}

/** The retention clock. Nothing that is alive is touched: the store looks once more in the transaction that deletes. */
export function createApplyRetention(deps: {
  readonly store: Pick<Store, 'retention'>;
  readonly clock: Clock;
  readonly retention: RetentionSettings;
  /** Goes on record. */
  readonly startedBy: 'schedule' | 'command';
}): ApplyRetention {
  const { store, clock, retention, startedBy } = deps;

  return {
    plan: () => store.retention.count(retentionCutoffs(clock.now(), retention)),

    async run(caller) {
      const now = clock.now();
      const cutoffs = retentionCutoffs(now, retention);
      const due = await store.retention.due(cutoffs, retention.mostPerRun);
      let deleted = 0;
      for (const [tenant, items = []] of Object.entries(Object.groupBy(due, (item) => item.tenant))) {
        const record = auditRecord(now, caller, 'retention.run', 'ok', targetOf(tenant), factsOf(items));
        deleted += await scrub(items, record).then(
          () => items.length,
          // Another replica was faster, or an owner has just consented: the next run sees what is left.
          (error: unknown) => {
            if (asBrokerError(error).code === 'STORE_CONFLICT') return 0;
            throw error;
          },
        );
      }
      return { deleted, more: due.length === retention.mostPerRun };

      function scrub(items: readonly RetentionItem[], record: AuditRecord): Promise<void> {
        return store.retention.scrub(items, cutoffs, now, record);
      }
    },
  };

  function factsOf(items: readonly RetentionItem[]): AuditRecord['facts'] {
    const of = (kind: RetentionItem['kind']) => items.filter((item) => item.kind === kind);
    const channels = [...of('revoked'), ...of('dead')].map(({ id }) => id);
    return {
      revoked: of('revoked').length,
      dead: of('dead').length,
      requests: of('request').length,
      links: of('link').length,
      notifications: of('notification').length,
      channels,
      startedBy,
    };
  }
}

function targetOf(tenant: string): { readonly tenant?: string } {
  return tenant === installationChain ? {} : { tenant };
}
