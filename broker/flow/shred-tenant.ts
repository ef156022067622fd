/**
 * What people do to have a tenant shredded: look, request, approve, cancel, start, and see how far it is. From the start on
 * the broker does the rest by itself (`continue-shreds.ts`), except that it cannot destroy the key: that takes an
 * operator's own login to Vault, so that a stolen broker cannot destroy anything.
 */
import { administersChannel, administersTenant, isOperator } from '../domain/access-policy.ts';
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { namePattern, newId, type RandomBytes } from '../domain/identifier.ts';
import { noControl, type RevocationTally, type Shred, stateAt } from '../domain/shred.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, Tenant, TenantKeys } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';

export interface ShredPlan {
  readonly tenant: Tenant;
  readonly channels: readonly Channel[];
  readonly workloads: readonly string[];
  readonly openConsents: number;
  /** Of our channels, those whose grant is not revoked at Google because another tenant's channel lives by it. */
  readonly shared: readonly {
    readonly channel: string;
    readonly siblings: number;
    readonly named: readonly string[];
  }[];
  readonly approvalsNeeded: number;
}

export interface ShredStatus {
  readonly tenant: Tenant;
  readonly shred: Shred | undefined;
  readonly revocations: RevocationTally | undefined;
  /** Of the tenant's key in Vault, while it matters. */
  readonly key: 'present' | 'soft_deleted' | 'absent' | undefined;
}

export interface ShredDeps {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly operatorsGroup: string;
  readonly shredApprovals: number;
  readonly shredRequestTtlMs: number;
  /** Has the work done now. */
  readonly wakeShreds: () => void;
}

export function createShredTenant(deps: ShredDeps) {
  const { authorize, store, keys, clock, random, operatorsGroup, shredApprovals, shredRequestTtlMs } = deps;

  /** Operators and the tenant's admins; anybody else is told that there is no such tenant. */
  async function permitted(person: Person, action: AuditAction, name: string): Promise<Tenant> {
    const tenant = namePattern.test(name) ? await store.tenants.find(name) : undefined;
    if (tenant && (isOperator(person, operatorsGroup) || administersTenant(person, tenant))) return tenant;
    const detail = tenant ? 'neither operator nor admin of it' : 'unknown';
    return authorize.refuse(person, action, 'TENANT_NOT_FOUND', { tenant: name.slice(0, 64) }, detail);
  }

  async function openShred(tenant: string): Promise<Shred> {
    const shred = await store.shreds.newest(tenant);
    const state = shred && stateAt(shred, clock.now());
    if (!shred || state === 'cancelled' || state === 'expired') {
      throw new BrokerError('SHRED_NOT_FOUND', { detail: `tenant ${tenant}` });
    }
    return shred;
  }

  async function status(tenant: string): Promise<ShredStatus> {
    const [now, shred] = [await store.tenants.find(tenant), await store.shreds.newest(tenant)];
    if (!now) throw new BrokerError('TENANT_NOT_FOUND');
    const started = shred?.startedAt !== undefined;
    return {
      tenant: now,
      shred: shred && { ...shred, state: stateAt(shred, clock.now()) },
      revocations: shred && started ? await store.shreds.tally(shred.id) : undefined,
      key: started ? await keys.presence(tenant) : undefined,
    };
  }

  return {
    /** The dry run: what would be destroyed. */
    async plan(person: Person, name: string): Promise<ShredPlan> {
      const tenant = await permitted(person, 'tenant.shred-plan', name);
      await authorize.looked(person, 'tenant.shred-plan', { tenant: name });
      const [channels, impact, tenants] = await Promise.all([
        store.channels.list({ tenant: name }),
        store.shreds.impact(name),
        store.tenants.list(),
      ]);
      const mayName = ({ sibling }: (typeof impact.siblings)[number]) =>
        administersChannel(
          person,
          sibling,
          tenants.find((one) => one.name === sibling.tenant),
        );
      const byChannel = Map.groupBy(impact.siblings, ({ channel }) => channel);
      const shared = [...byChannel].map(([channel, siblings]) => ({
        channel,
        siblings: siblings.length,
        named: siblings.filter(mayName).map(({ sibling }) => sibling.id),
      }));
      const { workloads, openConsents } = impact;
      return { tenant, channels, workloads, openConsents, shared, approvalsNeeded: shredApprovals };
    },

    async status(person: Person, name: string): Promise<ShredStatus> {
      await permitted(person, 'tenant.shred-status', name);
      await authorize.looked(person, 'tenant.shred-status', { tenant: name });
      // Somebody waits: what can be done is done now.
      deps.wakeShreds();
      return status(name);
    },

    async request(
      person: Person,
      name: string,
      input: { readonly confirm: string; readonly reason: string; readonly withoutRevocation: boolean },
    ): Promise<ShredStatus> {
      const tenant = await permitted(person, 'tenant.shred-request', name);
      confirmed(name, input.confirm);
      if (tenant.state !== 'active') throw new BrokerError('TENANT_SHREDDED', { detail: `tenant is ${tenant.state}` });
      const now = clock.now();
      const shred: Shred = {
        id: newId('sh', random),
        tenant: name,
        state: shredApprovals === 0 ? 'approved' : 'requested',
        reason: input.reason,
        approvalsNeeded: shredApprovals,
        withoutRevocation: input.withoutRevocation,
        requestedBy: person.subject,
        requestedAt: now,
        expiresAt: new Date(now.getTime() + shredRequestTtlMs),
        approvedBy: undefined,
        approvedAt: undefined,
        startedBy: undefined,
        startedAt: undefined,
        endedAt: undefined,
        controlCiphertext: undefined,
        proof: undefined,
      };
      const facts = {
        shred: shred.id,
        reason: shred.reason,
        approvalsNeeded: shred.approvalsNeeded,
        withoutRevocation: shred.withoutRevocation,
        expiresAt: shred.expiresAt.toISOString(),
      };
      const record = auditRecord(now, person, 'tenant.shred-request', 'ok', { tenant: name }, facts);
      await store.shreds.request(shred, record);
      return status(name);
    },

    async approve(person: Person, name: string, input: { readonly confirm: string }): Promise<ShredStatus> {
      await permitted(person, 'tenant.shred-approve', name);
      confirmed(name, input.confirm);
      const shred = await openShred(name);
      if (shred.requestedBy === person.subject) {
        await authorize.refuse(person, 'tenant.shred-approve', 'SHRED_SELF_APPROVAL', { tenant: name }, shred.id);
      }
      const now = clock.now();
      const facts = { shred: shred.id, requestedBy: shred.requestedBy };
      const record = auditRecord(now, person, 'tenant.shred-approve', 'ok', { tenant: name }, facts);
      await store.shreds.approve(shred.id, person.subject, now, record);
      return status(name);
    },

    async cancel(person: Person, name: string): Promise<ShredStatus> {
      await permitted(person, 'tenant.shred-cancel', name);
      const shred = await openShred(name);
      const now = clock.now();
      const facts = { shred: shred.id, state: shred.state };
      await store.shreds.cancel(
        shred.id,
        now,
        auditRecord(now, person, 'tenant.shred-cancel', 'ok', { tenant: name }, facts),
      );
      return status(name);
    },

    /** Starts what is approved; on what has been started, tries failed revocations again or goes on without them. */
    async start(
      person: Person,
      name: string,
      input: { readonly confirm: string; readonly withoutRevocation: boolean },
    ): Promise<ShredStatus> {
      await permitted(person, 'tenant.shred-start', name);
      confirmed(name, input.confirm);
      const shred = await openShred(name);
      if (shred.state === 'requested') {
        await authorize.refuse(person, 'tenant.shred-start', 'SHRED_NOT_APPROVED', { tenant: name }, shred.id);
      }
      if (shred.state === 'approved') await begin(person, shred, input.withoutRevocation || shred.withoutRevocation);
      if (shred.state === 'revoking') await resume(person, shred, input.withoutRevocation);
      deps.wakeShreds();
      return status(name);
    },
  };

  async function begin(person: Person, shred: Shred, withoutRevocation: boolean): Promise<void> {
    const { id, tenant } = shred;
    const controlCiphertext = await makeControl(tenant);
    const now = clock.now();
    const channels = await store.channels.list({ tenant });
    const facts = {
      shred: id,
      requestedBy: shred.requestedBy,
      approvedBy: shred.approvedBy ?? '',
      channels: channels.length,
      withoutRevocation,
      resumed: false,
    };
    await store.shreds.start(
      { id, tenant, by: person.subject, at: now, controlCiphertext, withoutRevocation },
      auditRecord(now, person, 'tenant.shred-start', 'ok', { tenant }, facts),
      (channel) =>
        auditRecord(
          now,
          person,
          'channel.state',
          'ok',
          { tenant, channel },
          {
            state: 'revoked',
            reason: 'tenant_shredded',
            shred: id,
          },
        ),
    );
  }

  /** A ciphertext that is seen to open now, so that its refusal at the end says something. Without a key there is none. */
  async function makeControl(tenant: string): Promise<string> {
    if ((await keys.presence(tenant)) !== 'present') return noControl;
    const { wrapped } = await keys.createDataKey(tenant);
    await keys.unwrapDataKey(tenant, wrapped);
    return wrapped;
  }

  async function resume(person: Person, shred: Shred, withoutRevocation: boolean): Promise<void> {
    const { id, tenant } = shred;
    const now = clock.now();
    const facts = { shred: id, withoutRevocation, resumed: true };
    const record = auditRecord(now, person, 'tenant.shred-start', 'ok', { tenant }, facts);
    if (withoutRevocation) await store.shreds.skipRemaining(id, record);
    else await store.shreds.retryFailed(id, now, record);
  }
}

function confirmed(name: string, confirm: string): void {
  if (confirm !== name) throw invalid('confirm: has to be the name of the tenant');
}
