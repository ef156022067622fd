/** The state of a tenant's key, for its admins and for operators: versions, rows that need each, and what comes next. */
import { isOperator } from '../domain/access-policy.ts';
import type { Person } from '../domain/caller.ts';
import { nextRaise, nextRotation, type TenantKeyFault } from '../domain/tenant-key.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, TenantKeys } from '../ports.ts';
import type { Authorize } from './authorize.ts';

export interface TenantKeyStatus {
  readonly tenant: string;
  readonly fault: TenantKeyFault | undefined;
  /** Of Vault now; 0 where the key cannot be used. */
  readonly newestVersion: number;
  readonly minVersion: number;
  readonly versions: readonly {
    readonly version: number;
    readonly createdAt: Date | undefined;
    readonly rows: number;
  }[];
  readonly rows: number;
  readonly rowsToRewrap: number;
  readonly rewrapping: boolean;
  /** Of one replica; undefined for no limit. */
  readonly rowsPerSecond: number | undefined;
  readonly rewrapFailed: readonly string[];
  readonly rewrappedAt: Date | undefined;
  /** The newest version that the minimum can be raised to now; undefined where it cannot be raised. */
  readonly safeMinVersion: number | undefined;
  readonly rotateEveryMs: number | undefined;
  readonly nextRotation: Date | undefined;
  /** When the schedule raises the minimum. */
  readonly nextRaise: Date | undefined;
}

export interface TenantKeyStatusDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly clock: Clock;
  readonly graceMs: number;
  readonly rowsPerSecond: number | undefined;
}

/** Computes it, whoever asks. */
export function createTenantKeyStatus({ store, keys, clock, graceMs, rowsPerSecond }: TenantKeyStatusDeps) {
  return async (tenant: string): Promise<TenantKeyStatus> => {
    const [record, described, counts] = await Promise.all([
      store.tenantKeys.find(tenant),
      keys.describe(tenant),
      store.ciphertexts.countByKeyVersion(tenant),
    ]);
    if (!record) throw new BrokerError('TENANT_NOT_FOUND');
    const fault = 'fault' in described ? described.fault : undefined;
    const key = 'fault' in described ? { newestVersion: 0, minVersion: 0, versions: [] } : described;
    const numbers = new Set([...key.versions, ...counts].map(({ version }) => version));
    const versions = [...numbers]
      .sort((a, b) => a - b)
      .map((version) => ({
        version,
        createdAt: key.versions.find((each) => each.version === version)?.createdAt,
        rows: counts.find((each) => each.version === version)?.rows ?? 0,
      }));
    const rowsToRewrap = counts
      .filter(({ version }) => version < key.newestVersion)
      .reduce((sum, { rows }) => sum + rows, 0);
    const safe = counts[0]?.version ?? key.newestVersion;
    // A version that was not noticed yet has not been rewrapped to.
    const rewrappedAt = record.version === key.newestVersion && rowsToRewrap === 0 ? record.rewrappedAt : undefined;
    return {
      tenant,
      fault,
      newestVersion: key.newestVersion,
      minVersion: key.minVersion,
      versions,
      rows: counts.reduce((sum, { rows }) => sum + rows, 0),
      rowsToRewrap,
      rewrapping: rowsToRewrap > 0 && record.claimedUntil !== undefined && record.claimedUntil > clock.now(),
      rowsPerSecond,
      rewrapFailed: record.rewrapFailed,
      rewrappedAt,
      safeMinVersion: safe > key.minVersion ? safe : undefined,
      rotateEveryMs: record.rotateEveryMs,
      nextRotation: nextRotation(key, record.rotateEveryMs),
      nextRaise: record.rotateEveryMs === undefined ? undefined : nextRaise(key, rewrappedAt, graceMs),
    };
  };
}

/** For the tenant's admins and operators; somebody else is told that it is not there. */
export function createShowTenantKey(deps: {
  authorize: Authorize;
  operatorsGroup: string;
  tenantKeyStatus: ReturnType<typeof createTenantKeyStatus>;
}) {
  return async (caller: Person, { tenant }: { readonly tenant: string }): Promise<TenantKeyStatus> => {
    const action = 'tenant.key-status';
    if (!isOperator(caller, deps.operatorsGroup)) await deps.authorize.tenant(caller, action, tenant);
    const status = await deps.tenantKeyStatus(tenant);
    await deps.authorize.looked(caller, action, { tenant });
    return status;
  };
}
