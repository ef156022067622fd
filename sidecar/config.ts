/**
 * The sidecar's configuration: environment variables, read once, in `main.ts`. Secrets are paths of files. Every
 * problem is reported at once; a name that begins with `SIDECAR_` and is not known is a problem, and a value that is
 * malformed is never replaced by its default.
 */
import * as z from 'zod';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../identity/spiffe-id.ts';
import type { LoopbackAddress } from './endpoints/listen.ts';
import type { AppRole } from './vault-login.ts';
import type { VaultAddress } from './vault-request.ts';

export interface SidecarConfig {
  /** `HOST:PORT` of the broker's gRPC API, and who must answer there. */
  readonly broker: { readonly address: string; readonly spiffeId: SpiffeId };
  /** Who this sidecar is. */
  readonly spiffeId: SpiffeId;
  readonly vault: VaultAddress;
  readonly appRole: AppRole;
  readonly pki: { readonly mount: string; readonly role: string };
  /** The native interface. */
  readonly listen: LoopbackAddress;
  /** The GCE metadata protocol: channel id -> port, on the host of `listen`. */
  readonly gceChannels: ReadonlyMap<string, number>;
  /** What to do where the broker tells nothing of a channel; in milliseconds. */
  readonly unheard: { readonly patienceMs: number; readonly recheckMs: number };
  /** `/livez` and `/readyz`. */
  readonly operationsListen: LoopbackAddress;
}

/** All that is wrong with the settings, one sentence each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

const port = z
  .string()
  .regex(/^\d{1,5}$/, 'is not a port')
  .transform(Number)
  .refine((n) => n < 65_536, 'is not a port');
const seconds = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'is not a number of seconds from 1 to 9999')
  .transform((text) => Number(text));
const filePath = z.string().min(1, 'is empty');
const mount = z
  .string()
  .regex(/^[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/, 'is not a path of a mount');
const spiffeId = z.string().transform(parsedWith(parseSpiffeId));
const loopback = z.string().transform((text, context): LoopbackAddress => {
  const [, host, digits] = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d+)$/.exec(text) ?? [];
  const parsed = port.safeParse(digits);
  if (host !== undefined && parsed.success) return { host, port: parsed.data };
  context.addIssue(
    'is not a loopback address with a port, for example 127.0.0.1:7070; tokens are for this machine only',
  );
  return z.NEVER;
});
const channelPorts = z.string().transform((text, context): ReadonlyMap<string, number> => {
  const ports = new Map<string, number>();
  for (const pair of text.split(',').filter(Boolean)) {
    const [, channel, digits] = /^([A-Za-z0-9_-]{1,64})=(\d+)$/.exec(pair.trim()) ?? [];
    const parsed = port.safeParse(digits);
    if (channel === undefined || !parsed.success) context.addIssue(`has ${pair}, which is not CHANNEL_ID=PORT`);
    else if (ports.has(channel)) context.addIssue(`names the channel ${channel} twice`);
    else if (parsed.data !== 0 && [...ports.values()].includes(parsed.data))
      context.addIssue(`gives the port ${parsed.data} to two channels`);
    else ports.set(channel, parsed.data);
  }
  return ports;
});

/** Every setting, with what it is for: the source of the documentation too. */
export const settings = z.strictObject({
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
  SIDECAR_VAULT_ROLE_ID_FILE: filePath.describe('The file with the AppRole role id; read at each login.'),
  SIDECAR_VAULT_SECRET_ID_FILE: filePath.describe('The file with the AppRole secret id; read at each login.'),
  SIDECAR_VAULT_APPROLE_MOUNT: mount.default('approle').describe('Where the AppRole login is mounted.'),
  SIDECAR_VAULT_PKI_MOUNT: mount
    .default('pki-workloads')
    .describe('Where the PKI engine for workload identities is mounted.'),
  SIDECAR_VAULT_PKI_ROLE: mount.default('workload').describe('The PKI role that signs this sidecar’s certificate.'),
  SIDECAR_LISTEN: loopback.prefault('127.0.0.1:7070').describe('Where workers ask for tokens; a loopback address.'),
  SIDECAR_GCE_CHANNELS: channelPorts
    .prefault('')
    .describe('Channels that are served by the GCE metadata protocol, each on a port of its own: CHANNEL_ID=PORT,…'),
  SIDECAR_OPERATIONS_LISTEN: loopback
    .prefault('127.0.0.1:7071')
    .describe('Where /livez and /readyz are served; a loopback address.'),
  SIDECAR_UNHEARD_AFTER: seconds
    .prefault('30')
    .describe(
      'After how many seconds without a word of the broker a channel’s token is checked with it at short intervals; the broker speaks every 10.',
    ),
  SIDECAR_RECHECK_EVERY: seconds.prefault('15').describe('How many seconds lie between these checks.'),
});

/** Reads the configuration; throws ConfigError with every problem. */
export function loadConfig(environment: Readonly<Record<string, string | undefined>>): SidecarConfig {
  const ours = Object.entries(environment).filter(([name]) => name.startsWith('SIDECAR_') || name in settings.shape);
  const parsed = settings.safeParse(Object.fromEntries(ours));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(sentences));
  const set = parsed.data;
  const broker = set.SIDECAR_BROKER_SPIFFE_ID ?? parseSpiffeId(`spiffe://${set.SIDECAR_TRUST_DOMAIN}/broker`);
  const strangers = Object.entries({ SIDECAR_SPIFFE_ID: set.SIDECAR_SPIFFE_ID, SIDECAR_BROKER_SPIFFE_ID: broker })
    .filter(([, id]) => id.trustDomain !== set.SIDECAR_TRUST_DOMAIN)
    .map(([name]) => `${name} is not in the trust domain ${set.SIDECAR_TRUST_DOMAIN}`);
  if (strangers.length > 0) throw new ConfigError(strangers);
  return {
    broker: { address: set.SIDECAR_BROKER_ADDR, spiffeId: broker },
    spiffeId: set.SIDECAR_SPIFFE_ID,
    vault: { address: set.VAULT_ADDR, namespace: set.VAULT_NAMESPACE, caFile: set.VAULT_CACERT },
    appRole: {
      mount: set.SIDECAR_VAULT_APPROLE_MOUNT,
      roleIdFile: set.SIDECAR_VAULT_ROLE_ID_FILE,
      secretIdFile: set.SIDECAR_VAULT_SECRET_ID_FILE,
    },
    pki: { mount: set.SIDECAR_VAULT_PKI_MOUNT, role: set.SIDECAR_VAULT_PKI_ROLE },
    listen: set.SIDECAR_LISTEN,
    gceChannels: set.SIDECAR_GCE_CHANNELS,
    unheard: { patienceMs: set.SIDECAR_UNHEARD_AFTER * 1_000, recheckMs: set.SIDECAR_RECHECK_EVERY * 1_000 },
    operationsListen: set.SIDECAR_OPERATIONS_LISTEN,
  };
}

function sentences(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => `${name} is not a setting of the sidecar`);
  const name = issue.path.join('.');
  if (issue.code === 'invalid_type') return [`${name} is not set`];
  return [`${name} ${issue.message}`];
}

function parsedWith<T>(parse: (text: string) => T) {
  return (text: string, context: z.RefinementCtx): T => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue(`is malformed: ${error instanceof Error ? error.message : String(error)}`);
      return z.NEVER;
    }
  };
}
