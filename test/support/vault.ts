import { randomBytes } from 'node:crypto';
import { startVault, type Vault, type VaultOptions } from '../../stack/vault.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

/** A Vault that other test files use at the same time. */
export interface SharedVault extends Pick<Vault, 'address' | 'rootToken' | 'product'> {
  /** Begins the names of all mounts, policies and roles that this scope makes: letters and digits. */
  readonly prefix: string;
}

/**
 * Lends the Vault of the test run, or one of its own where a test file is run alone. Make everything below `prefix`;
 * take `useOwnVault` to seal it, to stop it, or for fixed mount names.
 */
export async function useVault(scope: Scope): Promise<SharedVault> {
  const prefix = `t${randomBytes(5).toString('hex')}`;
  const { TEST_VAULT_ADDRESS: address, TEST_VAULT_ROOT_TOKEN: rootToken, TEST_VAULT_PRODUCT: product } = process.env;
  if (address && rootToken && product) return { address, rootToken, product, prefix };
  return { ...(await useOwnVault(scope)), prefix };
}

/** Starts a Vault (or OpenBao) that nobody else uses; up in about a third of a second. */
export async function useOwnVault(scope: Scope, options: Pick<VaultOptions, 'tls'> = {}): Promise<Vault> {
  const vault = await startVault({ directory: await useFolder(scope), env: process.env, ...options });
  atEnd(scope, vault.stop);
  return vault;
}
