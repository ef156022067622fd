import { isMemberOf, parseSpiffeId, SpiffeIdError } from '../../identity/spiffe-id.ts';
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
    checkSpiffeId(input.spiffeId, trustDomain);
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

function checkSpiffeId(text: string, trustDomain: string): void {
  try {
    if (isMemberOf(parseSpiffeId(text), trustDomain)) return;
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw invalid(`spiffe_id: ${error.message}`);
  }
  throw invalid(`spiffe_id: only workloads of ${trustDomain} can be let in: spiffe://${trustDomain}/workload/NAME`);
}
