import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import type { Consent } from '../domain/consent.ts';
import type { Store, WorkloadAccess } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** Shows one channel, how its newest consent stands, and the workloads that may read it. */
export function createShowChannel(deps: { authorize: Authorize; store: Store }) {
  const { authorize, store } = deps;

  return async (
    caller: Person,
    input: { channel: string },
  ): Promise<{ channel: Channel; consent: Consent | undefined; workloads: readonly WorkloadAccess[] }> => {
    const channel = await authorize.channel(caller, 'channel.show', input.channel);
    await authorize.looked(caller, 'channel.show', { tenant: channel.tenant, channel: channel.id });
    const [consent, workloads] = await Promise.all([
      store.consents.newest(channel.id),
      store.workloadAccess.listByChannel(channel.id),
    ]);
    return { channel, consent, workloads };
  };
}
