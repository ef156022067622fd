/** Settings of who the sidecar is, who the broker is, and how Vault proves it. */
import * as z from 'zod';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../identity/spiffe-id.ts';
import type { LoginConfig } from '../vault/login.ts';
import type { VaultAddress } from '../vault/request.ts';
import { filePath, mount, parsedWith, spiffeId } from './formats.ts';
import { loginOf, vaultLoginSettings } from './vault-login.ts';

export interface IdentityConfig {
  /** `HOST:PORT` of the broker's gRPC API, and who must answer there. */
  readonly broker: { readonly address: string; readonly spiffeId: SpiffeId };
  /** Who this sidecar is. */
  readonly spiffeId: SpiffeId;
  readonly vault: VaultAddress;
  readonly login: LoginConfig;
  readonly pki: { readonly mount: string; readonly role: string };
}

export const identitySettings = z.strictObject({
  SIDECAR_BROKER_ADDR: z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'is not HOST:PORT')
    .describe('The broker’s gRPC API, HOST:PORT.'),
  SIDECAR_TRUST_DOMAIN: z
    .string()
    .transform(parsedWith(parseTrustDomain))
    .default('token-broker.internal')
    .describe('The SPIFFE trust domain of the workloads and of the broker.'),
  SIDECAR_BROKER_SPIFFE_ID: spiffeId
    .optional()
    .describe('The identity that the broker must prove; by default spiffe://TRUST-DOMAIN/broker.'),
  SIDECAR_SPIFFE_ID: spiffeId.describe(
    'The identity of this sidecar, which Vault signs and the broker’s access rules name.',
  ),
  VAULT_ADDR: z
    .url({ protocol: /^https?$/, error: 'is not an http or https URL' })
    .transform((text) => new URL(text))
    .describe('The address of Vault or OpenBao.'),
  VAULT_NAMESPACE: z.string().min(1, 'is empty').optional().describe('The Vault namespace that everything is in.'),
  VAULT_CACERT: filePath
    .optional()
    .describe('A PEM file with the certificate authority of Vault, where the system’s own do not do.'),
  ...vaultLoginSettings.shape,
  SIDECAR_VAULT_PKI_MOUNT: mount
    .default('pki-workloads')
    .describe('Where the PKI engine for workload identities is mounted.'),
  SIDECAR_VAULT_PKI_ROLE: mount
    .optional()
    .describe(
      'The PKI role that signs this sidecar’s certificate; by default workload, and workload-METHOD for kubernetes, jwt and cert.',
    ),
});

/** What the settings say together. `problem` hears of what does not go together. */
export function identityOf(
  set: z.output<typeof identitySettings>,
  problem: (sentence: string) => void,
): IdentityConfig {
  const broker = set.SIDECAR_BROKER_SPIFFE_ID ?? parseSpiffeId(`spiffe://${set.SIDECAR_TRUST_DOMAIN}/broker`);
  for (const [name, id] of Object.entries({
    SIDECAR_SPIFFE_ID: set.SIDECAR_SPIFFE_ID,
    SIDECAR_BROKER_SPIFFE_ID: broker,
  }))
    if (id.trustDomain !== set.SIDECAR_TRUST_DOMAIN)
      problem(`${name} is not in the trust domain ${set.SIDECAR_TRUST_DOMAIN}`);
  const login = loginOf(set);
  return {
    broker: { address: set.SIDECAR_BROKER_ADDR, spiffeId: broker },
    spiffeId: set.SIDECAR_SPIFFE_ID,
    vault: { address: set.VAULT_ADDR, namespace: set.VAULT_NAMESPACE, caFile: set.VAULT_CACERT },
    login,
    pki: { mount: set.SIDECAR_VAULT_PKI_MOUNT, role: set.SIDECAR_VAULT_PKI_ROLE ?? pkiRoleFor(login) },
  };
}

/** Each login has a role of its own, because its template names the login (`broker vault enable-login`). */
function pkiRoleFor({ method }: LoginConfig): string {
  return method === 'approle' || method === 'token' ? 'workload' : `workload-${method}`;
}
