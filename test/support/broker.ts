import { type Broker, type BrokerDeps, startBroker } from '../../broker/broker.ts';
import { loadConfig } from '../../broker/config.ts';
import { createLog } from '../../broker/observability/log.ts';
import type { Clock } from '../../broker/ports.ts';
import { freePort } from '../../stack/free-port.ts';
import { brokerRole } from '../../vault-policies/layout.ts';
import type { PracticeGoogle } from '../fake-google/server.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';
import { credentialFiles, type SetUpVault } from './vault-set-up.ts';

/** A broker in this process, on ports of its own, with real parts behind it. */
export interface RunningBroker extends Broker {
  readonly publicUrl: string;
  readonly operationsUrl: string;
  /** Where browsers come back to; register it at Google before the first consent. */
  readonly redirectUri: string;
  /** Its BROKER_DATA_DIR. */
  readonly dataDirectory: string;
  /** Every line that it has logged. */
  readonly log: readonly string[];
}

export interface BrokerParts extends Pick<BrokerDeps, 'randomFraction' | 'pause' | 'googleDeadlineMs'> {
  readonly vault: SetUpVault;
  readonly google: Pick<PracticeGoogle, 'url' | 'endpoints'>;
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
  readonly clock: Clock;
  /** Settings that differ from the usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Done when all is at hand, just before the broker starts. */
  readonly before?: () => Promise<void>;
}

/** The environment that a broker with these parts is started with. */
export async function brokerEnvironment(
  scope: Scope,
  parts: Omit<BrokerParts, 'clock'>,
): Promise<Record<string, string> & { readonly BROKER_PUBLIC_URL: string }> {
  const { vault, google } = parts;
  const files = await credentialFiles(scope, vault.operator, vault.layout, brokerRole);
  const { mounts, trustDomain } = vault.layout;
  const publicUrl = parts.settings?.BROKER_PUBLIC_URL ?? `http://127.0.0.1:${await freePort()}`;
  return {
    BROKER_LISTEN: new URL(publicUrl).host,
    BROKER_PUBLIC_URL: publicUrl,
    BROKER_GRPC_LISTEN: '127.0.0.1:0',
    BROKER_OPERATIONS_LISTEN: '127.0.0.1:0',
    BROKER_TRUST_DOMAIN: trustDomain,
    DATABASE_URL: parts.databaseUrl,
    BROKER_DATA_DIR: await useFolder(scope),
    ...(parts.redisUrl ? { REDIS_URL: parts.redisUrl } : {}),
    VAULT_ADDR: vault.address,
    BROKER_VAULT_ROLE_ID_FILE: files.roleIdFile,
    BROKER_VAULT_SECRET_ID_FILE: files.secretIdFile,
    BROKER_VAULT_TRANSIT_MOUNT: mounts.transit,
    BROKER_VAULT_KV_MOUNT: mounts.kv,
    BROKER_VAULT_ANCHOR_MOUNT: mounts.anchors,
    BROKER_VAULT_PKI_MOUNT: mounts.pki,
    BROKER_VAULT_APPROLE_MOUNT: mounts.approle,
    BROKER_OIDC_ISSUER: `${vault.address}/v1/identity/oidc`,
    BROKER_GOOGLE_ISSUER: google.endpoints.issuer,
    BROKER_GOOGLE_AUTHORIZATION_URL: google.endpoints.authorization,
    BROKER_GOOGLE_TOKEN_URL: google.endpoints.token,
    BROKER_GOOGLE_REVOCATION_URL: google.endpoints.revocation,
    BROKER_GOOGLE_JWKS_URL: google.endpoints.jwks,
    BROKER_GOOGLE_YOUTUBE_URL: google.url,
    BROKER_GOOGLE_RISC_CONFIGURATION_URL: google.endpoints.riscConfiguration,
    BROKER_LOG_LEVEL: 'debug',
    // On a busy machine PostgreSQL takes longer than the default at times, and then records take another way.
    BROKER_AUDIT_PATIENCE: '20s',
    ...parts.settings,
  };
}

/** Starts a broker as `broker serve` does, from an environment; it is stopped with the scope. */
export async function useBroker(scope: Scope, parts: BrokerParts): Promise<RunningBroker> {
  const environment = await brokerEnvironment(scope, parts);
  const publicUrl = environment.BROKER_PUBLIC_URL;
  const config = loadConfig(environment);
  const lines: string[] = [];
  const { signal } = new AbortController();
  await parts.before?.();
  const log = createLog({ level: config.operations.logLevel, destination: { write: (line) => void lines.push(line) } });
  const broker = await startBroker(config, {
    log,
    clock: parts.clock,
    identityClock: { now: () => new Date() },
    version: 'test',
    signal,
    ...(parts.randomFraction && { randomFraction: parts.randomFraction }),
    ...(parts.pause && { pause: parts.pause }),
    ...(parts.googleDeadlineMs && { googleDeadlineMs: parts.googleDeadlineMs }),
  });
  atEnd(scope, () => broker.stop());
  return {
    ...broker,
    publicUrl,
    operationsUrl: `http://127.0.0.1:${broker.operationsPort}`,
    redirectUri: `${publicUrl}/oauth2/callback`,
    dataDirectory: config.store.dataDirectory,
    log: lines,
  };
}
