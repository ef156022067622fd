/** What `broker vault …` does: acts on Vault with the operator's own login, which is used once and kept nowhere. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { applyBootstrap, planBootstrap } from '../vault-policies/bootstrap.ts';
import { issueCredential, issueWrappedCredential } from '../vault-policies/credentials.ts';
import { destroyTenantKey, tenantKeyPath } from '../vault-policies/destroy-key.ts';
import { layout, type VaultLayout } from '../vault-policies/layout.ts';
import { applySteps, planSteps } from '../vault-policies/steps.ts';
import { loginSteps } from '../vault-policies/workload-logins.ts';
import { addWorkload } from '../vault-policies/workloads.ts';
import type { VaultCommands } from './cli/command-context.ts';
import type { OperatorConfig } from './config.ts';
import { Secret } from './domain/secret.ts';
import { BrokerError } from './errors.ts';
import { createVaultConnection, type VaultConnection } from './vault/connection.ts';
import { tokenLogin } from './vault/login.ts';

/** @param home where `vault login` leaves `.vault-token` */
export function createOperator(config: OperatorConfig, home: string): VaultCommands {
  async function withVault<T>(act: (vault: VaultConnection, names: VaultLayout) => Promise<T>): Promise<T> {
    const vault = createVaultConnection({
      address: config.vault.address,
      ...(config.vault.namespace ? { namespace: config.vault.namespace } : {}),
      ...(config.vault.caFile ? { caCertPem: await readFile(config.vault.caFile, 'utf8') } : {}),
      login: tokenLogin(config.token ?? (await readLogin(home))),
      clock: { now: () => new Date() },
      random: Math.random,
      deadlineMs: 20_000,
    });
    try {
      return await act(vault, layoutOf(config));
    } finally {
      await vault.close();
    }
  }

  return {
    plan: () => withVault(planBootstrap),
    apply: (onStep) => withVault((vault, names) => applyBootstrap(vault, names, onStep)),
    planLogin: (login) => withVault((vault, names) => planSteps(loginSteps(vault, names, login))),
    applyLogin: (login, onStep) => withVault((vault, names) => applySteps(loginSteps(vault, names, login), onStep)),
    addWorkload: (name, proof, cidrs) => withVault((vault, names) => addWorkload(vault, names, name, { cidrs, proof })),
    destroyTenantKey: (tenant) => withVault((vault, names) => destroyTenantKey(vault, names, tenant)),
    tenantKeyPath: async (tenant) => tenantKeyPath(layoutOf(config), tenant),
    issueCredential: (role) => withVault((vault, names) => issueCredential(vault, names, role)),
    issueWrappedCredential: (role, seconds) =>
      withVault((vault, names) => issueWrappedCredential(vault, names, role, seconds)),
  };
}

function layoutOf({ vault, trustDomain, audience, issuer }: OperatorConfig): VaultLayout {
  const mounts = {
    transit: vault.transitMount,
    kv: vault.kvMount,
    anchors: vault.anchorMount,
    pki: vault.pkiMount,
    approle: vault.appRoleMount,
  };
  return layout({ trustDomain, mounts, audience, ...(issuer ? { issuer } : {}) });
}

async function readLogin(home: string): Promise<Secret<string>> {
  const token = await readFile(join(home, '.vault-token'), 'utf8').catch(() => '');
  if (token.trim() !== '') return new Secret(token.trim());
  const problem = 'You are not logged in to Vault: run `vault login`, or set VAULT_TOKEN.';
  throw new BrokerError('CONFIG_INVALID', { detail: problem, problems: [problem] });
}
