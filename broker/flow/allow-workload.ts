import { isSpiffeId, trustDomainOf } from '../../identity/spiffe-id.ts';
import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Clock, Store, WorkloadAccess } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';

/** Lets a workload (its SPIFFE ID) read a channel's tokens. */
export function createAllowWorkload(deps: { authorize: Authorize; store: Store; clock: Clock; trustDomain: string }) {
  const { authorize, store, clock, trustDomain } = deps;

  return async (
    caller: Person,
    input: { channel: string; spiffeId: string; reason: string },
  ): Promise<WorkloadAccess> => {
    const channel = await authorize.channel(caller, 'workload.allow', input.channel);
    if (!isSpiffeId(input.spiffeId) || trustDomainOf(input.spiffeId) !== trustDomain) {
      throw invalid(
        `spiffe_id: write spiffe://${trustDomain}/PATH, for example spiffe://${trustDomain}/workload/uploader`,
      );
    }
    if (input.reason.length > 256) throw invalid('reason: at most 256 characters');
    const access: WorkloadAccess = {
      spiffeId: input.spiffeId,
      channel: channel.id,
      tenant: channel.tenant,
      reason: input.reason,
      createdBy: caller.subject,
      createdAt: clock.now(),
    };
    const target = { tenant: channel.tenant, channel: channel.id };
    const facts = { spiffeId: access.spiffeId, reason: access.reason };
    await store.workloadAccess.allow(
      access,
      auditRecord(access.createdAt, caller, 'workload.allow', 'ok', target, facts),
    );
    return access;
  };
}
