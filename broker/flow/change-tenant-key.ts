/** What operators do to a tenant's key: rotate it, raise its minimum, have it done on a schedule. */
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { namePattern } from '../domain/identifier.ts';
import type { TenantKey } from '../domain/tenant-key.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, TenantKeys } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { keyClaimMs } from './keep-tenant-key.ts';
import type { RaiseMinVersion } from './raise-min-version.ts';
import type { createTenantKeyStatus, TenantKeyStatus } from './show-tenant-key.ts';

const claimTries = 50;
const claimPauseMs = 100;
const shortestScheduleMs = 3_600_000;
const longestScheduleMs = 3_650 * 86_400_000;

export interface ChangeTenantKey {
  rotate(caller: Person, input: { readonly tenant: string }): Promise<TenantKeyStatus>;
  /** To the newest version where none is named. Throws KEY_VERSION_IN_USE. */
  raiseMinVersion(
    caller: Person,
    input: { readonly tenant: string; readonly to: number | undefined },
  ): Promise<TenantKeyStatus>;
  /** Milliseconds; undefined for never. */
  schedule(
    caller: Person,
    input: { readonly tenant: string; readonly everyMs: number | undefined },
  ): Promise<TenantKeyStatus>;
}

export function createChangeTenantKey(deps: {
  authorize: Authorize;
  store: Store;
  keys: TenantKeys;
  clock: Clock;
  raiseMinVersion: RaiseMinVersion;
  tenantKeyStatus: ReturnType<typeof createTenantKeyStatus>;
  /** Has the key keeper look. */
  onChange: () => void;
  pause: (ms: number) => Promise<void>;
}): ChangeTenantKey {
  const { authorize, store, keys, clock, raiseMinVersion, tenantKeyStatus, onChange, pause } = deps;

  async function begin(caller: Person, action: AuditAction, tenant: string): Promise<void> {
    await authorize.operator(caller, action);
    if (namePattern.test(tenant) && (await store.tenants.find(tenant))) return;
    await authorize.refuse(caller, action, 'TENANT_NOT_FOUND', { tenant: tenant.slice(0, 64) }, 'unknown');
  }

  async function usableKey(tenant: string): Promise<TenantKey> {
    const key = await keys.describe(tenant);
    if (!('fault' in key)) return key;
    throw new BrokerError('TENANT_KEY_UNUSABLE', { detail: key.fault, problems: [`the key is ${key.fault}`] });
  }

  async function changed(tenant: string): Promise<TenantKeyStatus> {
    await store.tenantKeys.lookSoon(tenant);
    onChange();
    return tenantKeyStatus(tenant);
  }

  return {
    async rotate(caller, { tenant }) {
      const action = 'tenant.key-rotate';
      await begin(caller, action, tenant);
      const { newestVersion: from } = await usableKey(tenant);
      await store.audit.append(auditRecord(clock.now(), caller, action, 'ok', { tenant }, { from }));
      await keys.rotate(tenant);
      return changed(tenant);
    },

    async raiseMinVersion(caller, { tenant, to }) {
      const action = 'tenant.key-min-version';
      await begin(caller, action, tenant);
      const key = await usableKey(tenant);
      const target = to ?? key.newestVersion;
      if (target > key.newestVersion || target < key.minVersion) {
        const problem = `to: must be from ${key.minVersion} to ${key.newestVersion}`;
        throw new BrokerError('INVALID_REQUEST', { detail: problem, problems: [problem] });
      }
      const claim = await claimKey(tenant);
      try {
        if (target > key.minVersion) await raiseMinVersion(caller, claim, key.minVersion, target);
      } catch (error) {
        if (!(error instanceof BrokerError) || error.code !== 'KEY_VERSION_IN_USE') throw error;
        const facts = { from: key.minVersion, to: target, detail: error.detail ?? '' };
        await store.audit.append(auditRecord(clock.now(), caller, action, error.code, { tenant }, facts));
        throw error;
      } finally {
        await store.tenantKeys.release(claim, clock.now()).catch(() => undefined);
      }
      return changed(tenant);
    },

    async schedule(caller, { tenant, everyMs }) {
      const action = 'tenant.key-schedule';
      await begin(caller, action, tenant);
      if (everyMs !== undefined && (everyMs < shortestScheduleMs || everyMs > longestScheduleMs)) {
        throw new BrokerError('INVALID_REQUEST', { problems: ['every: must be from 1h to 3650d'] });
      }
      const facts = { everySeconds: Math.ceil((everyMs ?? 0) / 1_000) };
      await store.tenantKeys.setSchedule(
        tenant,
        everyMs,
        auditRecord(clock.now(), caller, action, 'ok', { tenant }, facts),
      );
      return changed(tenant);
    },
  };

  /** A look takes a moment; a rewrap takes long, and while it runs some row needs an older version anyway. */
  async function claimKey(tenant: string) {
    for (let tries = 0; tries < claimTries; tries++) {
      const now = clock.now();
      const claim = await store.tenantKeys.claim(tenant, now, new Date(now.getTime() + keyClaimMs));
      if (claim) return claim;
      await pause(claimPauseMs);
    }
    throw new BrokerError('STORE_CONFLICT', { detail: `a broker is working on the key of ${tenant}`, retryAfter: 5 });
  }
}
