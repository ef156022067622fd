import { administersChannel, administersTenant } from '../domain/access-policy.ts';
import { type Person, principalsOf } from '../domain/caller.ts';
import type { Channel, ChannelState } from '../domain/channel.ts';
import type { Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** Lists the channels that the person may act on. */
export function createListChannels(deps: { authorize: Authorize; store: Store }) {
  const { authorize, store } = deps;

  return async (caller: Person, filter: { tenant?: string; state?: ChannelState }): Promise<readonly Channel[]> => {
    await authorize.looked(caller, 'channel.list', { tenant: filter.tenant });
    const tenants = new Map((await store.tenants.list()).map((tenant) => [tenant.name, tenant]));
    const own = [...tenants.values()].filter((tenant) => administersTenant(caller, tenant)).map(({ name }) => name);
    // Narrowed there already: a look of somebody with three channels must not bring all of them here.
    const administeredBy = { subject: caller.subject, principals: principalsOf(caller), tenants: own };
    const channels = await store.channels.list({ ...filter, administeredBy });
    return channels.filter((channel) => administersChannel(caller, channel, tenants.get(channel.tenant)));
  };
}
