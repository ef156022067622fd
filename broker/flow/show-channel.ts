import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import type { Store, WorkloadAccess } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** Shows one channel and the workloads that may read it. */
export function createShowChannel(deps: { authorize: Authorize; store: Store }) {
  const { authorize, store } = deps;

  return async (
    caller: Person,
    input: { channel: string },
  ): Promise<{ channel: Channel; workloads: readonly WorkloadAccess[] }> => {
    const channel = await authorize.channel(caller, 'channel.show', input.channel);
    await authorize.looked(caller, 'channel.show', { tenant: channel.tenant, channel: channel.id });
    return { channel, workloads: await store.workloadAccess.listByChannel(channel.id) };
  };
}
