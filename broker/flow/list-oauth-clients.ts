import { administersTenant, isOperator } from '../domain/access-policy.ts';
import type { Person } from '../domain/caller.ts';
import type { IncidentKind } from '../domain/client-incident.ts';
import type { Store, StoredOAuthClient } from '../ports.ts';
import type { Authorize } from './authorize.ts';

export interface ListedOAuthClient extends StoredOAuthClient {
  /** How many channels use it; told to operators only. */
  readonly channels?: number | undefined;
  /** The kinds of its open incidents. */
  readonly incidents?: readonly IncidentKind[];
}

/** Lists the OAuth clients, for operators and for those who need their names to add channels. */
export function createListOAuthClients(deps: { authorize: Authorize; store: Store; operatorsGroup: string }) {
  const { authorize, store, operatorsGroup } = deps;

  return async (caller: Person): Promise<readonly ListedOAuthClient[]> => {
    const tenants = await store.tenants.list();
    const operates = isOperator(caller, operatorsGroup);
    if (!operates && !tenants.some((tenant) => administersTenant(caller, tenant))) {
      return authorize.refuse(caller, 'oauth-client.list', 'ACCESS_DENIED', {}, 'administers no tenant');
    }
    await authorize.looked(caller, 'oauth-client.list', {});
    const [clients, counts, open] = await Promise.all([
      store.oauthClients.list(),
      store.oauthClients.channelCounts(),
      store.clientIncidents.open(),
    ]);
    return clients.map((client) => ({
      ...client,
      channels: operates ? (counts.get(client.name) ?? 0) : undefined,
      incidents: open.filter(({ oauthClient }) => oauthClient === client.name).map(({ kind }) => kind),
    }));
  };
}
