/**
 * What our Vault looks like, as data: mounts, policies, PKI and AppRole roles, identity tokens. Times are in seconds,
 * as Vault reads them back.
 */
import { defaultMounts, type VaultMounts } from '../broker/vault/mounts.ts';

export interface VaultLayout {
  readonly mounts: VaultMounts;
  /** Logins of workloads beside AppRole, each at a mount of its own, under `auth/`; see `workload-logins.ts`. */
  readonly logins: { readonly kubernetes: string; readonly jwt: string; readonly cert: string };
  /** Of the SPIFFE IDs, for example `media.example`. */
  readonly trustDomain: string;
  /** Names of the policies that the bootstrap installs, by file. */
  readonly policies: {
    readonly broker: string;
    readonly workload: string;
    readonly 'workload-kubernetes': string;
    readonly 'workload-jwt': string;
    readonly 'workload-cert': string;
    readonly operator: string;
    readonly 'admin-identity': string;
  };
  readonly identity: {
    /** Under `identity/oidc/key/` and `identity/oidc/role/`. */
    readonly key: string;
    readonly role: string;
    /** The `aud` of identity tokens. */
    readonly audience: string;
    /** Scheme, host and port of the `iss`; undefined leaves Vault's own setting as it is. */
    readonly issuer: string | undefined;
  };
  /** Where the broker may log in from; empty for anywhere. */
  readonly brokerCidrs: readonly string[];
}

export interface LayoutOptions {
  readonly trustDomain: string;
  readonly mounts?: Partial<VaultMounts>;
  readonly audience?: string;
  /** For example `https://vault.example.com:8200`: set it where Vault's `api_addr` is not what the broker calls. */
  readonly issuer?: string;
  readonly brokerCidrs?: readonly string[];
  /** Begins every name, so that several layouts can share one Vault. */
  readonly prefix?: string;
}

/** Names everything. */
export function layout(options: LayoutOptions): VaultLayout {
  const prefix = options.prefix ?? '';
  const mounts = { ...defaultMounts, ...options.mounts };
  return {
    mounts: {
      transit: `${prefix}${mounts.transit}`,
      kv: `${prefix}${mounts.kv}`,
      anchors: `${prefix}${mounts.anchors}`,
      pki: `${prefix}${mounts.pki}`,
      approle: `${prefix}${mounts.approle}`,
    },
    logins: {
      kubernetes: `${prefix}kubernetes-workloads`,
      jwt: `${prefix}jwt-workloads`,
      cert: `${prefix}cert-workloads`,
    },
    trustDomain: options.trustDomain,
    policies: {
      broker: `${prefix}token-broker`,
      workload: `${prefix}token-broker-workload`,
      'workload-kubernetes': `${prefix}token-broker-workload-kubernetes`,
      'workload-jwt': `${prefix}token-broker-workload-jwt`,
      'workload-cert': `${prefix}token-broker-workload-cert`,
      operator: `${prefix}token-broker-operator`,
      'admin-identity': `${prefix}token-broker-admin-identity`,
    },
    identity: {
      key: `${prefix}token-broker`,
      role: `${prefix}token-broker-admin`,
      audience: options.audience ?? 'token-broker',
      issuer: options.issuer,
    },
    brokerCidrs: options.brokerCidrs ?? [],
  };
}

/** The broker's AppRole role; no workload can have this name. */
export const brokerRole = 'token-broker';

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** The root certificate's life. */
export const rootTtl = 10 * 365 * day;

/** The SPIFFE ID of the broker itself. */
export function brokerSpiffeId(trustDomain: string): string {
  return `spiffe://${trustDomain}/broker`;
}

/** The SPIFFE ID of a workload that logs in by AppRole or by certificate, by its name. */
export function workloadSpiffeId(trustDomain: string, workload: string): string {
  return `spiffe://${trustDomain}/workload/${workload}`;
}

/** The SPIFFE ID of a workload that logs in by a service account of Kubernetes. */
export function serviceAccountSpiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/**
 * Signs CSRs for SVIDs of one hour, for servers and clients alike (SPIFFE wants both). Of the CSR only the key counts:
 * no common name, no DNS name, no address, nothing but the one URI. Certificates are stored, so that `pki/revoke`
 * takes a serial number; auto-tidy removes them an hour after their end.
 */
const svid = {
  key_type: 'ec',
  key_bits: 256,
  ttl: hour,
  max_ttl: hour,
  not_before_duration: 30,
  require_cn: false,
  use_csr_common_name: false,
  use_csr_sans: false,
  allow_any_name: false,
  allow_localhost: false,
  allow_ip_sans: false,
  allow_wildcard_certificates: false,
  allowed_domains: [],
  server_flag: true,
  client_flag: true,
  key_usage: ['DigitalSignature'],
  basic_constraints_valid_for_non_ca: true,
  generate_lease: false,
  no_store: false,
} as const;

/** `PKI/roles/broker`. */
export function brokerPkiRole(trustDomain: string) {
  return { ...svid, allowed_uri_sans: [brokerSpiffeId(trustDomain)], allowed_uri_sans_template: false };
}

/**
 * `PKI/roles/workload`: one role for all. Vault puts the name of the caller's AppRole role into the allowed SPIFFE ID,
 * so that each can be itself only. Never write a glob here: `*` also matches slashes.
 */
export function workloadPkiRole(trustDomain: string, approleAccessor: string) {
  const name = `{{identity.entity.aliases.${approleAccessor}.metadata.role_name}}`;
  return { ...svid, allowed_uri_sans: [workloadSpiffeId(trustDomain, name)], allowed_uri_sans_template: true };
}

/** As above, for a login by service account: namespace and name come from what Vault has verified. */
export function serviceAccountPkiRole(trustDomain: string, accessor: string) {
  const claim = (name: string) => `{{identity.entity.aliases.${accessor}.metadata.service_account_${name}}}`;
  const allowed = serviceAccountSpiffeId(trustDomain, claim('namespace'), claim('name'));
  return { ...svid, allowed_uri_sans: [allowed], allowed_uri_sans_template: true };
}

/** As above, for a login by certificate: Vault names the login after the certificate's common name. */
export function certificatePkiRole(trustDomain: string, accessor: string) {
  const name = `{{identity.entity.aliases.${accessor}.name}}`;
  return { ...svid, allowed_uri_sans: [workloadSpiffeId(trustDomain, name)], allowed_uri_sans_template: true };
}

/** `PKI/config/auto-tidy`. */
export const pkiAutoTidy = {
  enabled: true,
  interval_duration: hour,
  tidy_cert_store: true,
  tidy_revoked_certs: true,
  safety_buffer: hour,
} as const;

/**
 * The broker's AppRole role: a service token that is renewed each hour without end, and dies within an hour of the
 * broker. The secret id serves any number of logins (each restart is one) for 90 days: replace it before.
 */
export function brokerAppRole(layout: VaultLayout) {
  return {
    token_policies: [layout.policies.broker],
    token_no_default_policy: true,
    token_type: 'service',
    token_ttl: 0,
    token_max_ttl: 0,
    token_period: hour,
    token_bound_cidrs: layout.brokerCidrs,
    bind_secret_id: true,
    secret_id_bound_cidrs: layout.brokerCidrs,
    secret_id_num_uses: 0,
    secret_id_ttl: 90 * day,
  } as const;
}

/**
 * What a workload's login gives: a batch token of five minutes, enough to have a certificate signed; Vault stores nothing
 * for it and there is nothing to renew.
 */
export function workloadToken(policy: string, cidrs: readonly string[]) {
  return {
    token_policies: [policy],
    token_no_default_policy: true,
    token_type: 'batch',
    token_ttl: 5 * minute,
    token_max_ttl: 5 * minute,
    token_period: 0,
    token_bound_cidrs: cidrs,
  } as const;
}

/** A workload's AppRole role. */
export function workloadAppRole(layout: VaultLayout, cidrs: readonly string[]) {
  return {
    ...brokerAppRole(layout),
    ...workloadToken(layout.policies.workload, cidrs),
    secret_id_bound_cidrs: cidrs,
  } as const;
}

/** `identity/oidc/key/…`. */
export function identityKey(layout: VaultLayout) {
  return {
    algorithm: 'ES256',
    rotation_period: day,
    verification_ttl: day,
    allowed_client_ids: [layout.identity.audience],
  } as const;
}

/** `identity/oidc/role/…`: half an hour, with the entity's name and the names of its groups. */
export function identityRole(layout: VaultLayout) {
  return {
    key: layout.identity.key,
    client_id: layout.identity.audience,
    ttl: 30 * minute,
    template: '{"name": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}}',
  } as const;
}
