import { administersTenant, isOperator } from '../domain/access-policy.ts';
import type { Person } from '../domain/caller.ts';
import type { Store, Tenant } from '../ports.ts';
import type { Authorize } from './authorize.ts';

/** Lists the tenants that the person administers; an operator sees all. */
export function createListTenants(deps: { authorize: Authorize; store: Store; operatorsGroup: string }) {
  const { authorize, store, operatorsGroup } = deps;

  return async (caller: Person): Promise<readonly Tenant[]> => {
    await authorize.looked(caller, 'tenant.list', {});
    const tenants = await store.tenants.list();
    return isOperator(caller, operatorsGroup) ? tenants : tenants.filter((tenant) => administersTenant(caller, tenant));
  };
}
