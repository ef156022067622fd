/**
 * One look at one tenant's key, under a claim: notice a new version, follow the schedule, rewrap what needs an older
 * version, raise the minimum when its time has come. Where the key is missing or unsuitable nothing is changed; it is told.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { nextRaise, nextRotation, type TenantKey, type TenantKeyFault } from '../domain/tenant-key.ts';
import type { Clock, Store, TenantKeyClaim, TenantKeys } from '../ports.ts';
import type { RaiseMinVersion } from './raise-min-version.ts';
import type { createRewrapCiphertexts } from './rewrap-ciphertexts.ts';

/** A broker that works on a key has so long until others take over, counted from its last sign of life. */
export const keyClaimMs = 60_000;

export interface KeyNews {
  /** What is wrong with a tenant's key; `none` where it is well (again). */
  fault(tenant: string, fault: TenantKeyFault | 'none'): void;
  /** Rows below the newest version. */
  pending(tenant: string, rows: number): void;
  /** A row that Vault could not rewrap. */
  unrewrappable(tenant: string, row: string, problem: string): void;
  /** The newest version of a tenant's key. */
  version(tenant: string, version: number): void;
}

export interface KeepTenantKeyDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly rewrap: ReturnType<typeof createRewrapCiphertexts>;
  readonly raiseMinVersion: RaiseMinVersion;
  /** The clock that Vault dates key versions by. */
  readonly clock: Clock;
  readonly graceMs: number;
  readonly news: KeyNews;
}

export function createKeepTenantKey(deps: KeepTenantKeyDeps) {
  const { store, keys, rewrap, raiseMinVersion, clock, graceMs, news } = deps;

  /** claim → until when it was extended last */
  const extended = new WeakMap<TenantKeyClaim, number>();

  return async (caller: Scheduler, claim: TenantKeyClaim, signal: AbortSignal): Promise<void> => {
    const { tenant, rotateEveryMs } = claim.record;
    let key = await look(caller, claim);
    if (!key) return;
    const rotateAt = nextRotation(key, rotateEveryMs);
    if (rotateAt && rotateAt <= clock.now()) {
      const from = key.newestVersion;
      await store.audit.append(auditRecord(clock.now(), caller, 'tenant.key-rotate', 'ok', { tenant }, { from }));
      await keys.rotate(tenant);
      key = await look(caller, claim);
      if (!key) return;
    }
    const rewrappedAt = await moveRows(caller, claim, key, signal);
    const raiseAt = rotateEveryMs === undefined ? undefined : nextRaise(key, rewrappedAt, graceMs);
    if (!raiseAt || raiseAt > clock.now()) return;
    await extend(claim);
    await raiseMinVersion(caller, claim, key.minVersion, key.newestVersion);
  };

  /** Reads the key and writes down what is new of it. Undefined where it cannot be used. */
  async function look(caller: Scheduler, claim: TenantKeyClaim): Promise<TenantKey | undefined> {
    const { tenant } = claim.record;
    const known = (await store.tenantKeys.find(tenant)) ?? claim.record;
    const key = await keys.describe(tenant);
    const note = (action: 'tenant.key-notice' | 'tenant.key-min-version', facts: Record<string, string | number>) =>
      auditRecord(clock.now(), caller, action, 'ok', { tenant }, facts);
    const fault = 'fault' in key ? key.fault : undefined;
    news.fault(tenant, fault ?? 'none');
    if (fault !== known.fault) {
      await store.tenantKeys.note(claim, { fault }, note('tenant.key-notice', { fault: fault ?? 'none' }));
    }
    if ('fault' in key) return undefined;
    const { newestVersion: to, minVersion } = key;
    news.version(tenant, to);
    if (known.version !== to) {
      // A key's first version is no news.
      const record = known.version === undefined && to === 1 ? undefined : { from: known.version ?? 0, to };
      const found = { version: to, rewrappedAt: undefined };
      await store.tenantKeys.note(claim, found, record && note('tenant.key-notice', record));
    }
    if (known.minVersion !== minVersion) {
      const facts = { from: known.minVersion, to: minVersion, by: 'vault' };
      await store.tenantKeys.note(claim, { minVersion }, note('tenant.key-min-version', facts));
    }
    return key;
  }

  /** Answers since when no row needs an older version; undefined while some do. */
  async function moveRows(
    caller: Scheduler,
    claim: TenantKeyClaim,
    key: TenantKey,
    signal: AbortSignal,
  ): Promise<Date | undefined> {
    const { tenant } = claim.record;
    const version = key.newestVersion;
    const known = await store.tenantKeys.find(tenant);
    let moved = 0;
    let pending = await countPending(tenant, version);
    let failed: readonly string[] = [];
    while (pending > failed.length) {
      const pass = await rewrap(tenant, version, { beforeBatch: () => keepClaim(claim), signal });
      moved += pass.moved;
      failed = pass.failed.map(({ row }) => row);
      for (const { row, problem } of pass.failed) {
        if (!known?.rewrapFailed.includes(row)) news.unrewrappable(tenant, row, problem);
      }
      pending = await countPending(tenant, version);
      // Only rows that others write meanwhile are left: they are found at the next look.
      if (pass.moved === 0) break;
    }
    const since = pending > 0 ? undefined : moved === 0 ? (known?.rewrappedAt ?? clock.now()) : clock.now();
    const isNews = moved > 0 || failed.join() !== (known?.rewrapFailed ?? []).join();
    if (isNews || since?.getTime() !== known?.rewrappedAt?.getTime()) {
      const facts = { version, rows: moved, failed: failed.length };
      const record = auditRecord(clock.now(), caller, 'tenant.key-rewrap', 'ok', { tenant }, facts);
      const found = { rewrappedAt: since, rewrapFailed: failed };
      await store.tenantKeys.note(claim, found, isNews ? record : undefined);
    }
    return since;
  }

  async function countPending(tenant: string, version: number): Promise<number> {
    const counts = await store.ciphertexts.countByKeyVersion(tenant);
    const pending = counts.filter((each) => each.version < version).reduce((sum, { rows }) => sum + rows, 0);
    news.pending(tenant, pending);
    return pending;
  }

  async function keepClaim(claim: TenantKeyClaim): Promise<void> {
    const until = extended.get(claim) ?? 0;
    if (until - clock.now().getTime() < keyClaimMs / 2) await extend(claim);
  }

  async function extend(claim: TenantKeyClaim): Promise<void> {
    const until = new Date(clock.now().getTime() + keyClaimMs);
    await store.tenantKeys.extend(claim, until);
    extended.set(claim, until.getTime());
  }
}
