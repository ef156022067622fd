/**
 * Logins of workloads beside AppRole, each enabled by an operator where it is wanted: a mount of its own, so that nobody
 * else's roles are there, a PKI role whose template names that mount, and a policy for that PKI role alone.
 */
import type { Secret } from '../broker/domain/secret.ts';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { loginAccessor, loginStep } from './engines.ts';
import { certificatePkiRole, serviceAccountPkiRole, type VaultLayout } from './layout.ts';
import { policyText } from './policy-text.ts';
import { configurationStep, type Step } from './step.ts';

/** What Vault has to know to believe a login. */
export type WorkloadLogin =
  | {
      readonly method: 'kubernetes';
      /** Of the API server. */
      readonly host: string;
      /** Undefined where Vault runs in the cluster and takes what its own pod has. */
      readonly caPem?: string | undefined;
      /** May create token reviews; undefined where Vault's own pod, or each workload, may. */
      readonly reviewerToken?: Secret<string> | undefined;
    }
  | {
      readonly method: 'jwt';
      /** The cluster's public keys as PEM, or where its discovery document is. */
      readonly keys: { readonly pem: readonly string[] } | { readonly discoveryUrl: string; readonly caPem?: string };
      /** The `iss` of the tokens; with discovery, it is the address. */
      readonly issuer?: string | undefined;
    }
  | { readonly method: 'cert' };

/** In the order in which one needs the other; see `planSteps` and `applySteps`. */
export function loginSteps(vault: VaultConnection, layout: VaultLayout, login: WorkloadLogin): readonly Step[] {
  const { method } = login;
  const path = layout.logins[method];
  const { pki } = layout.mounts;
  const name = `workload-${method}` as const;
  const pkiRole = method === 'cert' ? certificatePkiRole : serviceAccountPkiRole;
  return [
    loginStep(vault, { type: method, path, description: 'token broker: workloads' }),
    ...configurationOf(vault, path, login),
    configurationStep(vault, {
      name: `PKI role ${name}`,
      path: `${pki}/roles/${name}`,
      fields: async () => pkiRole(layout.trustDomain, await loginAccessor(vault, path)),
    }),
    configurationStep(vault, {
      name: `policy ${layout.policies[name]}`,
      path: `sys/policies/acl/${layout.policies[name]}`,
      fields: async () => ({ policy: await policyText(name, layout) }),
    }),
  ];
}

function configurationOf(vault: VaultConnection, path: string, login: WorkloadLogin): readonly Step[] {
  const step = (fields: Readonly<Record<string, unknown>>, unreadable?: Readonly<Record<string, unknown>>) => [
    configurationStep(vault, {
      name: `whom auth/${path}/ believes`,
      path: `auth/${path}/config`,
      fields: () => fields,
      ...(unreadable && { unreadable }),
    }),
  ];
  switch (login.method) {
    case 'kubernetes': {
      const { host, caPem, reviewerToken } = login;
      return step(
        {
          kubernetes_host: host,
          disable_local_ca_jwt: caPem !== undefined,
          ...(caPem !== undefined && { kubernetes_ca_cert: caPem }),
        },
        reviewerToken && { token_reviewer_jwt: reviewerToken.reveal() },
      );
    }
    case 'jwt':
      return step({ ...keysOf(login.keys), bound_issuer: login.issuer ?? '' });
    case 'cert':
      return [];
  }
}

function keysOf(keys: Extract<WorkloadLogin, { method: 'jwt' }>['keys']) {
  if ('pem' in keys) return { jwt_validation_pubkeys: keys.pem, oidc_discovery_url: '' };
  return { jwt_validation_pubkeys: [], oidc_discovery_url: keys.discoveryUrl, oidc_discovery_ca_pem: keys.caPem ?? '' };
}
