import { administersTenant, isOperator } from '../domain/access-policy.ts';
import type { Person } from '../domain/caller.ts';
import type { Store, StoredOAuthClient } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** Lists the OAuth clients, for operators and for those who need their names to add channels. */
export function createListOAuthClients(deps: { authorize: Authorize; store: Store; operatorsGroup: string }) {
  const { authorize, store, operatorsGroup } = deps;

  return async (caller: Person): Promise<readonly StoredOAuthClient[]> => {
    const tenants = await store.tenants.list();
    if (!isOperator(caller, operatorsGroup) && !tenants.some((tenant) => administersTenant(caller, tenant))) {
      return authorize.refuse(caller, 'oauth-client.list', 'ACCESS_DENIED', {}, 'administers no tenant');
    }
    await authorize.looked(caller, 'oauth-client.list', {});
    return store.oauthClients.list();
  };
}
