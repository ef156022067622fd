/** Workloads: what each may log in as, which decides the SPIFFE ID that Vault signs for it. */
import { BrokerError } from '../broker/errors.ts';
import type { VaultConnection } from '../broker/vault/connection.ts';
import { vaultName } from '../broker/vault/name.ts';
import {
  brokerRole,
  serviceAccountSpiffeId,
  type VaultLayout,
  workloadAppRole,
  workloadSpiffeId,
  workloadToken,
} from './layout.ts';
import { configurationStep, type Finding } from './step.ts';

/** By what a workload is known. */
export type WorkloadProof =
  | { readonly method: 'approle' }
  | {
      readonly method: 'kubernetes' | 'jwt';
      readonly namespace: string;
      readonly serviceAccount: string;
      /** The `aud` of the projected token. */
      readonly audience: string;
    }
  /** A client certificate from this authority with the workload's name as its common name. */
  | { readonly method: 'cert'; readonly authorityPem: string };

export interface AddedWorkload extends Finding {
  readonly spiffeId: string;
}

/**
 * Makes the login's role of a workload; does nothing where it is as it should be. `cidrs` limits where it may log in from.
 * Throws INVALID_REQUEST for a name that is not plain, ALREADY_EXISTS for the broker's own.
 */
export async function addWorkload(
  vault: VaultConnection,
  layout: VaultLayout,
  name: string,
  options: { readonly cidrs?: readonly string[]; readonly proof?: WorkloadProof } = {},
): Promise<AddedWorkload> {
  const { cidrs = [], proof = { method: 'approle' } } = options;
  if (vaultName(name) === brokerRole)
    throw new BrokerError('ALREADY_EXISTS', { detail: `${name} is the broker's role` });
  const { path, fields, spiffeId } = roleOf(layout, name, proof, cidrs);
  const step = configurationStep(vault, { name: `workload ${name}`, path, fields: () => fields });
  const finding = await step.inspect();
  if (finding.action !== 'ok') await step.apply();
  return { ...finding, spiffeId };
}

function roleOf(layout: VaultLayout, name: string, proof: WorkloadProof, cidrs: readonly string[]) {
  const { mounts, logins, policies, trustDomain } = layout;
  const spiffeId = workloadSpiffeId(trustDomain, name);
  switch (proof.method) {
    case 'approle':
      return { path: `auth/${mounts.approle}/role/${name}`, fields: workloadAppRole(layout, cidrs), spiffeId };
    case 'cert':
      return {
        path: `auth/${logins.cert}/certs/${name}`,
        fields: {
          ...workloadToken(policies['workload-cert'], cidrs),
          certificate: proof.authorityPem,
          // Vault names the login after it, and the PKI role signs that name.
          allowed_common_names: [name],
        },
        spiffeId,
      };
    case 'kubernetes':
    case 'jwt': {
      const { method, namespace, serviceAccount } = proof;
      for (const part of [namespace, serviceAccount]) mustBePlain(part);
      return {
        path: `auth/${logins[method]}/role/${name}`,
        fields: {
          ...workloadToken(policies[`workload-${method}`], cidrs),
          ...(method === 'kubernetes' ? reviewed(proof) : verified(proof)),
        },
        spiffeId: serviceAccountSpiffeId(trustDomain, namespace, serviceAccount),
      };
    }
  }
}

type ServiceAccountProof = Extract<WorkloadProof, { namespace: string }>;

function reviewed({ namespace, serviceAccount, audience }: ServiceAccountProof) {
  return {
    bound_service_account_names: [serviceAccount],
    bound_service_account_namespaces: [namespace],
    audience,
    alias_name_source: 'serviceaccount_uid',
  };
}

function verified({ namespace, serviceAccount, audience }: ServiceAccountProof) {
  return {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_subject: `system:serviceaccount:${namespace}:${serviceAccount}`,
    bound_audiences: [audience],
    claim_mappings: {
      '/kubernetes.io/namespace': 'service_account_namespace',
      '/kubernetes.io/serviceaccount/name': 'service_account_name',
    },
  };
}

/** As Kubernetes names things: no `*`, which would let every service account in. */
function mustBePlain(name: string): void {
  if (/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) return;
  throw new BrokerError('INVALID_REQUEST', {
    problems: ['a namespace and a service account have lower-case letters, digits, dots and inner hyphens'],
  });
}
