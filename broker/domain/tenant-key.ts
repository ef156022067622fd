/** What is known of a tenant's transit key, and when the next step of its life is due. */

/** `missing`: Vault has none. `unsuitable`: it would ignore the context, or could leave Vault. */
export type TenantKeyFault = 'missing' | 'unsuitable';

/** The key as Vault describes it. */
export interface TenantKey {
  readonly newestVersion: number;
  /** The oldest that decrypts: Vault's `min_decryption_version`. */
  readonly minVersion: number;
  /** Those that are left, the oldest first. */
  readonly versions: readonly { readonly version: number; readonly createdAt: Date }[];
}

/** When the schedule rotates the key next; undefined without a schedule. */
export function nextRotation(key: TenantKey, everyMs: number | undefined): Date | undefined {
  const newest = key.versions.find(({ version }) => version === key.newestVersion);
  if (everyMs === undefined || !newest) return undefined;
  return new Date(newest.createdAt.getTime() + everyMs);
}

/**
 * When the schedule raises the minimum: a grace after the last row has left the older versions, because cached data keys
 * and a replica's spool may still need them. Undefined where nothing is to be raised.
 */
export function nextRaise(
  key: Pick<TenantKey, 'newestVersion' | 'minVersion'>,
  rewrappedAt: Date | undefined,
  graceMs: number,
): Date | undefined {
  if (!rewrappedAt || key.minVersion >= key.newestVersion) return undefined;
  return new Date(rewrappedAt.getTime() + graceMs);
}
