import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, Tenant, TenantKeys } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { checkName, checkPrincipals } from './input.ts';

/**
 * Creates a tenant and its transit key. The key comes first: a tenant without a key could not keep what its owners
 * consent to, while a key without a tenant is harmless and found again by the next try.
 */
export function createCreateTenant(deps: { authorize: Authorize; store: Store; keys: TenantKeys; clock: Clock }) {
  const { authorize, store, keys, clock } = deps;

  return async (caller: Person, input: { name: string; admins: readonly string[] }): Promise<Tenant> => {
    await authorize.operator(caller, 'tenant.create');
    checkName('name', input.name);
    checkPrincipals('admins', input.admins);
    const admins = input.admins.length > 0 ? input.admins : [`user:${caller.subject}`];
    // Before the key is made: a name that was shredded must never have a key again.
    const former = await store.tenants.find(input.name);
    if (former && former.state !== 'active') throw new BrokerError('TENANT_SHREDDED', { detail: input.name });
    const tenant: Tenant = { name: input.name, admins, createdAt: clock.now(), state: 'active' };
    await keys.create(tenant.name);
    const target = { tenant: tenant.name };
    await store.tenants.create(tenant, auditRecord(clock.now(), caller, 'tenant.create', 'ok', target, { admins }));
    return tenant;
  };
}
