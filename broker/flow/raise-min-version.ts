/**
 * Raises the oldest key version that decrypts. First the database refuses to store anything older, durably, and only where
 * no row needs it; then Vault. Cut off in between, the database is stricter than Vault: the key keeper sees that and
 * follows Vault.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import type { Clock, Store, TenantKeyClaim, TenantKeys } from '../ports.ts';

/** Throws KEY_VERSION_IN_USE. The claim must hold for longer than a call to Vault may take. */
export type RaiseMinVersion = (caller: Caller, claim: TenantKeyClaim, from: number, to: number) => Promise<void>;

export function createRaiseMinVersion(deps: { store: Store; keys: TenantKeys; clock: Clock }): RaiseMinVersion {
  const { store, keys, clock } = deps;
  return async (caller, claim, from, to) => {
    const { tenant } = claim.record;
    const record = auditRecord(clock.now(), caller, 'tenant.key-min-version', 'ok', { tenant }, { from, to });
    await store.tenantKeys.raiseMinimum(claim, to, record);
    await keys.setMinVersion(tenant, to);
  };
}
