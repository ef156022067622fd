/**
 * Decides whether a person may act, and audits the refusal before it is told. Every flow for people begins with one of
 * these; what they answer is what the flow goes on with, so a flow cannot reach a tenant or a channel without asking.
 *
 * An allowed act that changes state is recorded with the change, in one transaction; an allowed look is recorded here.
 * If the record cannot be written, the answer is a denial (AUDIT_UNAVAILABLE).
 */

import { administersChannel, administersTenant, isAuditor, isOperator } from '../domain/access-policy.ts';
import { installationChain } from '../domain/audit-chain.ts';
import { type AuditAction, type AuditRecord, type AuditTarget, auditRecord } from '../domain/audit-record.ts';
import type { Caller, Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { isChannelId, namePattern } from '../domain/identifier.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { Clock, Store, Tenant } from '../ports.ts';

export interface Authorize {
  /** For looks at an audit chain: a tenant's admins at the tenant's, operators at the installation's (`''`), auditors at all. */
  auditChain(person: Person, action: AuditAction, chain: string): Promise<void>;
  /** For acts on the installation. */
  operator(person: Person, action: AuditAction): Promise<void>;
  /** For acts on a tenant; answers it. Somebody who may not see it is told that it is not there. */
  tenant(person: Person, action: AuditAction, name: string): Promise<Tenant>;
  /** For acts on a channel; answers it. Somebody who may not see it is told that it is not there. */
  channel(person: Person, action: AuditAction, id: string): Promise<Channel>;
  /** Records a look that changes nothing. */
  looked(caller: Caller, action: AuditAction, target: AuditTarget, facts?: AuditRecord['facts']): Promise<void>;
  /** Records a refusal and throws it. */
  refuse(caller: Caller, action: AuditAction, code: ErrorCode, target: AuditTarget, detail: string): Promise<never>;
}

export function createAuthorize(deps: {
  store: Store;
  clock: Clock;
  operatorsGroup: string;
  auditorsGroup: string;
}): Authorize {
  const { store, clock, operatorsGroup, auditorsGroup } = deps;

  const refuse: Authorize['refuse'] = async (caller, action, code, target, detail) => {
    await store.audit.append(auditRecord(clock.now(), caller, action, code, target, { detail }));
    throw new BrokerError(code, { detail });
  };

  return {
    refuse,

    async operator(person, action) {
      if (!isOperator(person, operatorsGroup)) {
        await refuse(person, action, 'ACCESS_DENIED', {}, `needs the group ${operatorsGroup}`);
      }
    },

    async tenant(person, action, name) {
      const tenant = namePattern.test(name) ? await store.tenants.find(name) : undefined;
      if (tenant && administersTenant(person, tenant)) {
        if (tenant.state === 'active') return tenant;
        return refuse(person, action, 'TENANT_SHREDDED', { tenant: name }, `tenant is ${tenant.state}`);
      }
      return refuse(
        person,
        action,
        'TENANT_NOT_FOUND',
        { tenant: name.slice(0, 64) },
        tenant ? 'not an admin of it' : 'unknown',
      );
    },

    async channel(person, action, id) {
      const channel = isChannelId(id) ? await store.channels.find(id) : undefined;
      const tenant = channel && (await store.tenants.find(channel.tenant));
      if (channel && administersChannel(person, channel, tenant)) return channel;
      const target = { tenant: channel?.tenant, channel: id.slice(0, 64) };
      return refuse(person, action, 'CHANNEL_NOT_FOUND', target, channel ? 'neither owner nor admin' : 'unknown');
    },

    async auditChain(person, action, chain) {
      if (chain === installationChain) {
        if (isOperator(person, operatorsGroup) || isAuditor(person, auditorsGroup)) return;
        await refuse(person, action, 'ACCESS_DENIED', {}, `needs the group ${operatorsGroup} or ${auditorsGroup}`);
      }
      const tenant = namePattern.test(chain) ? await store.tenants.find(chain) : undefined;
      if (tenant && (administersTenant(person, tenant) || isAuditor(person, auditorsGroup))) return;
      const detail = tenant ? 'neither an admin of it nor an auditor' : 'unknown';
      await refuse(person, action, 'TENANT_NOT_FOUND', { tenant: chain.slice(0, 64) }, detail);
    },

    async looked(caller, action, target, facts) {
      await store.audit.append(auditRecord(clock.now(), caller, action, 'ok', target, facts));
    },
  };
}
