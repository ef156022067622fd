/** Where the engines are mounted; without slashes at the ends. */
export interface VaultMounts {
  readonly transit: string;
  /** KV version 2: the OAuth clients' secrets. */
  readonly kv: string;
  readonly pki: string;
  /** Under `auth/`. */
  readonly approle: string;
}

/** What `broker vault bootstrap` makes where nothing else is said. */
export const defaultMounts: VaultMounts = {
  transit: 'transit',
  kv: 'oauth-clients',
  pki: 'pki-workloads',
  approle: 'approle',
};
