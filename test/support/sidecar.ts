import { join } from 'node:path';
import { loadConfig } from '../../sidecar/config.ts';
import type { Facts, Log } from '../../sidecar/log.ts';
import { type Sidecar, type SidecarDependencies, startSidecar } from '../../sidecar/sidecar.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { until as untilNamed } from './poll.ts';
import { atEnd, type Scope } from './scope.ts';
import { credentialFiles, type SetUpVault } from './vault-set-up.ts';

/** A line that the sidecar has logged. */
export interface LogLine extends Facts {
  readonly message: string;
}

/** A sidecar in this process, on ports of its own. */
export interface RunningSidecar extends Sidecar {
  readonly log: readonly LogLine[];
  /** The lines that tell of tokens given away. */
  readonly releases: readonly ReleaseLine[];
}

/** A line of the release log. */
export interface ReleaseLine {
  readonly interface: string;
  readonly channel: string;
  readonly caller?: string;
  readonly uid?: number;
  readonly pid?: number;
  readonly exe?: string;
  readonly scopes: readonly string[];
  readonly accessToken: string;
  readonly expiresAt: string;
  readonly stale?: string;
}

export interface SidecarParts {
  readonly vault: SetUpVault;
  /** `HOST:PORT` of the broker's gRPC API. */
  readonly broker: string;
  /** Its AppRole role, which is added first; `uploads` by default. */
  readonly workload?: string;
  /** Settings that differ from the usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly dependencies?: Partial<SidecarDependencies>;
}

/** The environment that a sidecar of this workload is started with; adds the workload to Vault. */
export async function sidecarEnvironment(scope: Scope, parts: SidecarParts): Promise<Record<string, string>> {
  const { vault, workload = 'uploads' } = parts;
  const { mounts, trustDomain } = vault.layout;
  await addWorkload(vault.operator, vault.layout, workload);
  const files = await credentialFiles(scope, vault.operator, vault.layout, workload);
  return {
    SIDECAR_BROKER_ADDR: parts.broker,
    SIDECAR_TRUST_DOMAIN: trustDomain,
    SIDECAR_SPIFFE_ID: workloadSpiffeId(trustDomain, workload),
    VAULT_ADDR: vault.address,
    SIDECAR_VAULT_ROLE_ID_FILE: files.roleIdFile,
    SIDECAR_VAULT_SECRET_ID_FILE: files.secretIdFile,
    SIDECAR_VAULT_AUTH_MOUNT: mounts.approle,
    SIDECAR_VAULT_PKI_MOUNT: mounts.pki,
    SIDECAR_LISTEN: '127.0.0.1:0',
    SIDECAR_OPERATIONS_LISTEN: '127.0.0.1:0',
    // Tests ask as no worker does.
    SIDECAR_REQUESTS_PER_SECOND: '1000000',
    ...(process.platform === 'linux' ? {} : { SIDECAR_CALLERS: '*=any' }),
    ...parts.settings,
  };
}

/** Starts a sidecar; it is stopped with the scope. Wait for it with `isReady`. */
export async function useSidecar(scope: Scope, parts: SidecarParts): Promise<RunningSidecar> {
  const lines: LogLine[] = [];
  const write = (facts: Facts, message: string) => void lines.push({ ...facts, message });
  const log: Log = { info: write, warn: write, error: write };
  const releases: ReleaseLine[] = [];
  const writeReleases = (text: string) => {
    for (const line of text.split('\n').filter(Boolean)) releases.push(JSON.parse(line) as ReleaseLine);
  };
  const config = loadConfig(await sidecarEnvironment(scope, parts));
  const sidecar = await startSidecar(config, { log, writeReleases, ...parts.dependencies });
  atEnd(scope, sidecar.stop);
  return { ...sidecar, log: lines, releases };
}

/** Waits until `/readyz` says yes. */
export async function isReady({ operationsUrl }: Pick<Sidecar, 'operationsUrl'>): Promise<void> {
  await until(async () => (await fetch(`${operationsUrl}/readyz`)).ok);
}

/** What the native interface answers, right or wrong. */
interface NativeAnswer {
  readonly access_token?: string;
  readonly expires_in?: number;
  readonly stale?: string;
  readonly error?: { readonly code: string; readonly message: string; readonly next?: string };
}

/** Asks the native interface as a worker does. */
export async function readToken(sidecar: Pick<Sidecar, 'url'>, channel: string, query = '') {
  const response = await fetch(`${sidecar.url}/v1/channels/${channel}/token${query}`, {
    headers: { 'X-Sidecar-Request': 'true' },
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as NativeAnswer,
  };
}

/** Polls until it holds. */
export function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  return untilNamed('it holds', holds);
}

/** Where the program is. */
export const sidecarMain = join(import.meta.dirname, '../../sidecar/main.ts');
