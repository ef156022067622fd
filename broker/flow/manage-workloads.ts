/** Shows who may read which channel, and takes it back. */
import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, WorkloadAccess } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import type { createListChannels } from './list-channels.ts';

export interface WorkloadFilter {
  readonly tenant?: string;
  readonly channel?: string;
  /** A workload: the rules that name it, also those for a path. */
  readonly spiffeId?: string;
}

export function createManageWorkloads(deps: {
  authorize: Authorize;
  store: Store;
  clock: Clock;
  listChannels: ReturnType<typeof createListChannels>;
}) {
  const { authorize, store, clock, listChannels } = deps;

  return {
    /** The rules of channels that the person may act on; those that have ended, too. */
    async list(person: Person, filter: WorkloadFilter): Promise<readonly WorkloadAccess[]> {
      const { tenant, channel, spiffeId } = filter;
      if (channel !== undefined) await authorize.channel(person, 'workload.list', channel);
      await authorize.looked(person, 'workload.list', { tenant, channel }, spiffeId === undefined ? {} : { spiffeId });
      const rules = await store.workloadAccess.list({ ...(tenant && { tenant }), ...(spiffeId && { spiffeId }) });
      if (channel !== undefined) return rules.filter((rule) => rule.channel === channel);
      const own = new Set((await listChannels(person, tenant ? { tenant } : {})).map(({ id }) => id));
      return rules.filter((rule) => own.has(rule.channel));
    },

    /** Takes a rule back, for as many workloads as it names. Throws NOT_FOUND where there is none for just these. */
    async remove(
      person: Person,
      input: { channel: string; spiffeId: string; reason: string },
    ): Promise<WorkloadAccess> {
      const { id: channel, tenant } = await authorize.channel(person, 'workload.remove', input.channel);
      const { spiffeId, reason } = input;
      const rule = await store.workloadAccess.find(spiffeId, channel);
      if (!rule) {
        throw new BrokerError('NOT_FOUND', { problems: ['spiffe_id: no rule of this channel has just this name'] });
      }
      const facts = { spiffeId, reason };
      const record = auditRecord(clock.now(), person, 'workload.remove', 'ok', { tenant, channel }, facts);
      await store.workloadAccess.remove(rule, record);
      return rule;
    },
  };
}
