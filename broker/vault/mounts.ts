/** Where the engines are mounted; without slashes at the ends. */
export interface VaultMounts {
  readonly transit: string;
  /** KV version 2: the OAuth clients' secrets. */
  readonly kv: string;
  /** KV version 2: the newest signed end of each audit chain. */
  readonly anchors: string;
  readonly pki: string;
  /** Under `auth/`. */
  readonly approle: string;
}

/** What `broker vault bootstrap` makes where nothing else is said. */
export const defaultMounts: VaultMounts = {
  transit: 'transit',
  kv: 'oauth-clients',
  anchors: 'audit-anchors',
  pki: 'pki-workloads',
  approle: 'approle',
};
