/**
 * Sets Vault up as the layout says, with the token of an operator: `bootstrap.hcl` has all that it needs. Each step
 * looks first and writes only what is not as it should be, so it can be run again at any time; a run that was cut
 * short goes on where it stopped. Nothing is ever removed.
 */
import type { VaultConnection } from '../broker/vault/connection.ts';
import { checkpointKeyStep, engineStep, loginAccessor, loginStep, rootCertificateStep } from './engines.ts';
import {
  brokerAppRole,
  brokerPkiRole,
  brokerRole,
  identityKey,
  identityRole,
  pkiAutoTidy,
  rootTtl,
  type VaultLayout,
  workloadPkiRole,
} from './layout.ts';
import { policyText } from './policy-text.ts';
import { configurationStep, type Step } from './step.ts';
import { applySteps, type FoundStep, planSteps } from './steps.ts';

/** Says what `applyBootstrap` would do; writes nothing. Throws VAULT_FORBIDDEN naming what the token may not read. */
export function planBootstrap(vault: VaultConnection, layout: VaultLayout): Promise<readonly FoundStep[]> {
  return planSteps(stepsOf(vault, layout));
}

/**
 * Makes Vault what the layout says and answers what was done. `onStep` hears of each step once it is done. Throws
 * VAULT_FORBIDDEN naming what the token may not do, CONFIG_INVALID where something else has one of our mounts' paths.
 */
export function applyBootstrap(
  vault: VaultConnection,
  layout: VaultLayout,
  onStep?: (step: FoundStep) => void,
): Promise<readonly FoundStep[]> {
  return applySteps(stepsOf(vault, layout), onStep);
}

/** In the order in which one needs the other. */
function stepsOf(vault: VaultConnection, layout: VaultLayout): readonly Step[] {
  const { transit, kv, anchors, pki, approle } = layout.mounts;
  const { identity, policies, trustDomain } = layout;
  const policy = (file: keyof VaultLayout['policies']) =>
    configurationStep(vault, {
      name: `policy ${policies[file]}`,
      path: `sys/policies/acl/${policies[file]}`,
      fields: async () => ({ policy: await policyText(file, layout) }),
    });
  const configuration = (name: string, path: string, fields: Parameters<typeof configurationStep>[1]['fields']) =>
    configurationStep(vault, { name, path, fields });

  return [
    engineStep(vault, { type: 'transit', path: transit, description: 'token broker: tenant and DPoP keys' }),
    configuration(`${transit}/: no key by mistake`, `${transit}/config/keys`, () => ({ disable_upsert: true })),
    engineStep(vault, {
      type: 'kv',
      path: kv,
      description: 'token broker: OAuth client secrets',
      options: { version: '2' },
    }),
    engineStep(vault, {
      type: 'kv',
      path: anchors,
      description: 'token broker: anchors of the audit record',
      options: { version: '2' },
    }),
    checkpointKeyStep(vault, transit),
    engineStep(vault, {
      type: 'pki',
      path: pki,
      description: 'token broker: workload identities',
      maxLeaseTtl: rootTtl,
    }),
    rootCertificateStep(vault, layout),
    loginStep(vault, { type: 'approle', path: approle, description: 'token broker: broker and workloads' }),
    configuration('PKI role broker', `${pki}/roles/broker`, () => brokerPkiRole(trustDomain)),
    configuration('PKI role workload', `${pki}/roles/workload`, async () =>
      workloadPkiRole(trustDomain, await loginAccessor(vault, approle)),
    ),
    configuration(`${pki}/: tidies up after itself`, `${pki}/config/auto-tidy`, () => pkiAutoTidy),
    policy('broker'),
    policy('workload'),
    policy('operator'),
    policy('admin-identity'),
    configuration('AppRole role token-broker', `auth/${approle}/role/${brokerRole}`, () => brokerAppRole(layout)),
    configuration(`identity key ${identity.key}`, `identity/oidc/key/${identity.key}`, () => identityKey(layout)),
    configuration(`identity role ${identity.role}`, `identity/oidc/role/${identity.role}`, () => identityRole(layout)),
    ...(identity.issuer === undefined
      ? []
      : [configuration('issuer of identity tokens', 'identity/oidc/config', () => ({ issuer: identity.issuer }))]),
  ];
}
