import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { type ExpiringSettings, expiringTerms } from '../domain/expiring.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';

/** So many in one run; the next one goes on. */
const mostPerRun = 200;

/** Tells, once for each grant, that it will end by itself at Google. Answers how many that were, and whether there are more. */
export type TellExpiring = (caller: Scheduler) => Promise<{ readonly told: number; readonly more: boolean }>;

export function createTellExpiring(deps: {
  readonly store: Store;
  readonly clock: Clock;
  readonly expiring: ExpiringSettings;
}): TellExpiring {
  const { store, clock, expiring } = deps;

  return async (caller) => {
    const now = clock.now();
    const grants = await store.notifications.expiring(expiringTerms(now, expiring), mostPerRun);
    let told = 0;
    for (const grant of grants) {
      const { kind, tenant, channel, generation, expiresAt } = grant;
      const facts = { kind, generation, ...(expiresAt && { expiresAt: expiresAt.toISOString() }) };
      const record = auditRecord(now, caller, 'channel.expiring', 'ok', { tenant, channel }, facts);
      told += await store.notifications.tellExpiring(grant, now, record).then(
        () => 1,
        (error: unknown) => {
          // Another replica was faster.
          if (asBrokerError(error).code === 'STORE_CONFLICT') return 0;
          throw error;
        },
      );
    }
    return { told, more: grants.length === mostPerRun };
  };
}
