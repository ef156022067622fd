/** The destruction of a tenant's key, with an operator's own login: the broker's has no right to it. */
import { z } from 'zod';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { vaultName } from '../broker/vault/name.ts';
import { vaultFailureOf } from '../broker/vault/vault-failure.ts';
import type { VaultLayout } from './layout.ts';

export function tenantKeyPath(layout: VaultLayout, tenant: string): string {
  return `${layout.mounts.transit}/keys/tenant-${vaultName(tenant)}`;
}

/**
 * Destroys it for good, all versions at once, soft-deleted or not; does nothing where it is gone. Throws VAULT_FORBIDDEN
 * where the login may not.
 */
export async function destroyTenantKey(vault: VaultConnection, layout: VaultLayout, tenant: string): Promise<void> {
  const path = tenantKeyPath(layout, tenant);
  try {
    await vault.write(`${path}/config`, { deletion_allowed: true });
    await vault.delete(path);
  } catch (error) {
    // Vault says 400 for a key that is not there; by then somebody else may have destroyed it.
    if (vaultFailureOf(error)?.kind !== 'bad_request') throw error;
    if (await vault.find(path, z.unknown())) throw error;
  }
}
