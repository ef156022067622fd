/**
 * The only composition root of the broker. Reads in the order of the data: Vault holds the keys, PostgreSQL the record,
 * Redis the newest tokens, Google the consents; flows decide; HTTP, gRPC and the scheduler let them run.
 *
 * What is opened pushes its closer; stop closes in reverse: first no new requests, last the connections.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as timer } from 'node:timers/promises';
import { openCache } from './cache/open-cache.ts';
import type { Config } from './config.ts';
import { createRequestIds } from './domain/request-id.ts';
import type { BucketRules } from './domain/token-bucket.ts';
import { BrokerError } from './errors.ts';
import { createAdmission } from './flow/admission.ts';
import { type AuditCheckpointer, createAuditCheckpointer } from './flow/checkpoint-audit.ts';
import { createDatabasePresence } from './flow/database-presence.ts';
import { createFlows } from './flow/flows.ts';
import { createOAuthClientIncidents, type OAuthClientIncidents } from './flow/oauth-client-incidents.ts';
import { createRecordInGroups, type RecordInGroups } from './flow/record-in-groups.ts';
import type { RevokedCertificates } from './flow/revoked-certificates.ts';
import { createServeRegions } from './flow/serve-regions.ts';
import type { WatchChannels } from './flow/watch-channels.ts';
import { createAuthorizationServer } from './google/authorization-server.ts';
import { createSecurityEventTokens } from './google/security-event-tokens.ts';
import { createYouTube } from './google/youtube.ts';
import { type BrokerIdentity, type BrokerIdentitySource, startBrokerIdentity } from './grpc/broker-identity.ts';
import { createIdentifyPeer } from './grpc/peer.ts';
import { createPeerCertificates } from './grpc/peer-certificate.ts';
import { type GrpcServer, startGrpcServer } from './grpc/server.ts';
import { identityRefusals } from './grpc/tls-refusal.ts';
import { createTokenService } from './grpc/token-service.ts';
import { createOperationsServer } from './http/operations.ts';
import { createHttpServer } from './http/server.ts';
import { createJwtVerifier } from './jwt.ts';
import type { Log } from './observability/log.ts';
import { createMetrics } from './observability/metrics.ts';
import type { AccessTokenCache, Clock, Store } from './ports.ts';
import { whenAvailable } from './resilience.ts';
import { openAuditSpool } from './spool/audit-spool.ts';
import { openRefreshTokenSpool } from './spool/refresh-token-spool.ts';
import { openStore } from './store/open-store.ts';
import { createAuditAnchors } from './vault/audit-anchors.ts';
import { createCheckpointSigner } from './vault/audit-checkpoints.ts';
import { createVaultConnection } from './vault/connection.ts';
import { createDataKeys } from './vault/data-keys.ts';
import { createDpopKeys } from './vault/dpop-keys.ts';
import { appRoleLogin } from './vault/login.ts';
import { createOAuthClientSecrets } from './vault/oauth-client-secrets.ts';
import { createRevocationLists } from './vault/revocation-lists.ts';
import { createCertificateAuthority } from './vault/server-certificate.ts';
import { createSigningSecrets } from './vault/signing-secrets.ts';
import { createTenantKeys } from './vault/tenant-keys.ts';
import { createNotificationReceiver } from './webhook/receiver.ts';

export interface BrokerDeps {
  readonly log: Log;
  /** Of tokens and consents. */
  readonly clock: Clock;
  /** Of what Vault dates: certificates, its own tokens, the admins' identity tokens. */
  readonly identityClock: Clock;
  readonly version: string;
  /** Gives the start up where it still waits for Vault or PostgreSQL. */
  readonly signal: AbortSignal;
  /** From 0 to 1: spreads retries. By default `Math.random`. */
  readonly randomFraction?: () => number;
  /** Waits between two questions to Google. By default by a timer; whoever moves `clock` by hand moves it here, too. */
  readonly pause?: (ms: number) => Promise<void>;
  /** How long an answer of Google is waited for. By default ten seconds. */
  readonly googleDeadlineMs?: number;
}

export interface Broker {
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly operationsPort: number;
  /** Refreshes everything that is due now; answers how many channels that were. */
  refreshDue(): Promise<number>;
  /** Has Vault sign the audit chains that are due now; answers how many were. */
  checkpointDue(): Promise<number>;
  /** Looks at every tenant's key now and does what is due; answers how many keys that were. */
  keepKeysDue(): Promise<number>;
  /** Finds grants that are about to end, and tries every notification that is due; answers how many tries that were. */
  deliverNotifications(): Promise<number>;
  /** Does now what can be done for tenants that are being shredded. */
  continueShreds(): Promise<void>;
  /** Tells Google now what is due of channels that were revoked, and has their siblings proven. */
  continueRevocations(): Promise<void>;
  /** Takes no new requests, lets running ones end, closes everything. */
  stop(): Promise<void>;
}

const drainMs = 10_000;

/** Starts a broker; what was opened is closed again where a later step fails. */
export async function startBroker(config: Config, deps: BrokerDeps): Promise<Broker> {
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return { ...(await open(config, deps, closers)), stop: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(config: Config, deps: BrokerDeps, closers: (() => unknown)[]): Promise<Omit<Broker, 'stop'>> {
  const { log, clock, identityClock, version, signal } = deps;
  const random = randomBytes;
  const { randomFraction = Math.random, pause = (ms: number) => timer(ms), googleDeadlineMs = 10_000 } = deps;
  const replica = `${hostname()}-${random(6).toString('hex')}`;
  const newRequestId = createRequestIds({ random, replica: replica.slice(-12) });
  const onFault = (err: unknown) => log.error({ err }, 'fault in the broker');
  const available = <T>(what: string, step: () => Promise<T>): Promise<T> =>
    whenAvailable(step, signal, (err) => log.warn({ err, what }, 'waiting for a dependency'));

  const vault = createVaultConnection({
    address: config.vault.address,
    ...(config.vault.namespace ? { namespace: config.vault.namespace } : {}),
    ...(config.vault.caFile ? { caCertPem: await readFile(config.vault.caFile, 'utf8') } : {}),
    login: appRoleLogin({ ...config.vault, mount: config.vault.appRoleMount }),
    clock: identityClock,
    random: randomFraction,
    log,
  });
  closers.push(() => vault.close());
  const keys = createTenantKeys({ vault, transit: config.vault.transitMount });
  const dataKeys = createDataKeys({ keys, clock });
  const dpopKeys = createDpopKeys({ vault, transit: config.vault.transitMount });
  const secrets = createOAuthClientSecrets({ vault, kv: config.vault.kvMount, clock });
  const authority = createCertificateAuthority({ vault, pki: config.vault.pkiMount });

  const checkpointSigner = createCheckpointSigner({ vault, transit: config.vault.transitMount });
  const auditAnchors = createAuditAnchors({ vault, anchors: config.vault.anchorMount });

  const metrics = createMetrics();
  let identity: BrokerIdentitySource | undefined;
  let watchChannels: Pick<WatchChannels, 'check'> | undefined;
  let checkpointer: AuditCheckpointer | undefined;
  let revoked: Pick<RevokedCertificates, 'check'> | undefined;
  let incidents: OAuthClientIncidents | undefined;
  let opened: { store: Store; cache: AccessTokenCache; records: RecordInGroups } | undefined;
  const checkOpened = (check: (parts: NonNullable<typeof opened>) => Promise<void>) => async () => {
    if (!opened) throw new BrokerError('STORE_UNAVAILABLE', { detail: 'the broker is starting' });
    await check(opened);
  };
  // First of all, so that whoever waits for the broker sees what the broker waits for.
  const operations = await createOperationsServer({
    dependencies: {
      // Without it tokens that are issued are served, and recorded in the spool.
      database: { needed: false, check: checkOpened(({ store }) => store.check()) },
      record: { needed: true, check: checkOpened(({ records }) => records.check()) },
      certificate: { needed: true, check: async () => requireValid(identity?.current(), identityClock) },
      vault: { needed: false, check: () => vault.check() },
      changes: {
        needed: false,
        check: async () => {
          if (!watchChannels) throw new BrokerError('STORE_UNAVAILABLE', { detail: 'the broker is starting' });
          await watchChannels.check();
        },
      },
      audit: { needed: false, check: async () => checkpointer?.check() },
      revocations: { needed: config.crl.whenStale === 'refuse', check: async () => revoked?.check() },
      oauth_clients: { needed: false, check: async () => incidents?.check() },
      cache: { needed: false, check: checkOpened(({ cache }) => cache.check()) },
    },
    metrics: metrics.text,
    deadlineMs: 3_000,
    log,
  }).listen(config.operations.listen);
  closers.push(() => operations.close());

  if (config.store.migrationDatabaseUrl) {
    log.warn({}, 'BROKER_MIGRATION_DATABASE_URL is for `broker migrate` only: keep it away from replicas');
  }
  const database = await available('database', () => openStore({ ...config.store, log }));
  closers.push(() => database.close());
  const auditSpool = await openAuditSpool({
    directory: join(config.store.dataDirectory, 'audit'),
    mostBytes: config.audit.spoolMebibytes * 2 ** 20,
    clock: identityClock,
    random,
    log,
  });
  closers.push(() => auditSpool.close());
  const presence = createDatabasePresence({
    check: () => database.check(),
    patienceMs: config.audit.patienceMs,
    sleep,
    onChange: (away) =>
      away
        ? log.warn({}, 'the database does not answer in time: records go to the spool')
        : log.info({}, 'the database answers again'),
  });
  closers.push(() => presence.stop());
  const records = createRecordInGroups({
    log: database.audit,
    spool: auditSpool,
    presence,
    onGroup: metrics.recorded,
    onFault,
  });
  closers.push(() => records.stop());
  metrics.auditSpool(() => auditSpool.waiting());
  const store: Store = { ...database, audit: { ...database.audit, append: records.append } };
  records.start();
  const { cache, rateLimits, ...opening } = openCache({
    redisUrl: config.cache.redisUrl,
    dataKeys,
    clock,
    random,
    randomFraction,
    log,
    replicas: config.refresh.replicas,
  });
  closers.push(() => opening.close());
  opened = { store, cache, records };
  let wakeScheduler = () => {};
  const spool = await openRefreshTokenSpool({
    directory: join(config.store.dataDirectory, 'received'),
    dataKeys,
    clock,
    random,
    log,
    onWaiting: () => wakeScheduler(),
  });
  metrics.spooledTokens(() => spool.waiting().length);

  const google = createAuthorizationServer({
    settings: {
      issuer: config.google.issuer,
      authorizationUrl: config.google.authorizationUrl,
      tokenUrl: config.google.tokenUrl,
      revocationUrl: config.google.revocationUrl,
      redirectUri: `${config.http.publicUrl}/oauth2/callback`,
      deadlineMs: googleDeadlineMs,
    },
    secrets,
    dpopKeys,
    verifyJwt: createJwtVerifier({
      issuer: config.google.issuer,
      // Google writes itself with and without the scheme.
      issuerAliases: [config.google.issuer.replace(/^https:\/\//, '')],
      audience: [],
      jwksUri: config.google.jwksUrl,
      now: () => clock.now(),
      deadlineMs: googleDeadlineMs,
      unavailable: 'AUTHORIZATION_SERVER_UNAVAILABLE',
    }),
    clock,
    random,
  });
  const youtube = createYouTube({ url: config.google.youtubeUrl, deadlineMs: googleDeadlineMs });

  incidents = createOAuthClientIncidents({
    store,
    clock,
    rules: { ...config.freeze, share: config.freeze.sharePercent / 100 },
    onOpen: (open) => metrics.openIncidents(open),
  });
  const { isRejected } = incidents;
  const admission = createAdmission({
    rateLimits,
    clock,
    randomFraction,
    pause,
    sleep,
    concurrency: config.refresh.concurrency,
    rules: clientRate(config.refresh.clientRate),
    isRejected,
    onRefused: metrics.notAdmitted,
    onBreaker: (oauthClient, isOpen) => {
      metrics.breaker(oauthClient, isOpen);
      if (isOpen)
        log.warn({ oauthClient }, 'an OAuth client is not asked with for a while: too many failures in a row');
      else log.info({ oauthClient }, 'an OAuth client is asked with again');
    },
  });
  const receiver = config.notification.url
    ? createNotificationReceiver({
        url: config.notification.url,
        allowedNetworks: config.notification.allowedNetworks,
        caCertPem: config.notification.caFile && (await readFile(config.notification.caFile, 'utf8')),
        deadlineMs: config.notification.timeoutMs,
        concurrency: config.notification.concurrency,
        version,
      })
    : undefined;
  if (!receiver) log.warn({}, 'BROKER_NOTIFICATION_URL is not set: notifications are kept and nothing is sent');
  closers.push(() => receiver?.close());

  const serveRegions = createServeRegions({
    store,
    self: { id: replica, regions: config.regions.served, version },
    takeoverMs: config.regions.takeoverMs,
    sleep,
    onTakeover: (regions) => {
      metrics.regionsTakenOver(regions.length);
      log.warn({ regions }, 'serves the regions that no live replica serves');
      wakeScheduler();
    },
    onFault,
  });

  const securityEventTokens = createSecurityEventTokens({
    settings: {
      issuer: config.google.issuer,
      configurationUrl: config.google.riscConfigurationUrl,
      deadlineMs: googleDeadlineMs,
    },
    clock,
  });

  const flows = createFlows({
    store,
    presence,
    keys,
    spool,
    dpopKeys,
    secrets,
    checkpointSigner,
    auditAnchors,
    google,
    youtube,
    securityEventTokens,
    cache,
    clock,
    random,
    randomFraction,
    pause,
    sleep,
    newRequestId,
    monotonicMs: () => performance.now(),
    onClockJump: (jumpMs, replanned) =>
      log.warn({ jumpMs, replanned }, 'a clock was wrong: the refreshes are planned anew'),
    onRefreshed: metrics.refreshed,
    onSecurityEvent: metrics.securityEvent,
    onHearing: (hears, err) => {
      metrics.hearing(hears);
      if (hears) log.info({}, 'changes in the database are heard of');
      else log.warn({ err }, 'changes in the database are not heard of');
    },
    onChanges: metrics.changes,
    onWatches: metrics.subscriptions,
    onFault,
    operatorsGroup: config.identity.operatorsGroup,
    auditorsGroup: config.identity.auditorsGroup,
    defaultRegion: config.region,
    trustDomain: config.trustDomain,
    linkTtlMs: config.consent.linkTtlMs,
    retention: config.retention,
    refreshConcurrency: config.refresh.concurrency,
    admission,
    incidents,
    rateLimits,
    forcedRate: forcedRate(config.refresh.forcedPerMinute),
    regions: () => serveRegions.regions(),
    replica,
    takeoverMs: config.regions.takeoverMs,
    activeWindowMs: config.refresh.activeWindowMs,
    onBegun: metrics.refreshBegun,
    dataKeys,
    identityClock,
    keySettings: {
      ...config.keys,
      rewrapRowsPerSecond: config.keys.rewrapRowsPerSecond === 0 ? undefined : config.keys.rewrapRowsPerSecond,
    },
    keyNews: {
      fault: (tenant, fault) => {
        metrics.keyFault(tenant, fault !== 'none');
        if (fault !== 'none') log.error({ tenant, fault }, 'a tenant’s key in Vault cannot be used');
      },
      pending: metrics.rowsToRewrap,
      unrewrappable: (tenant, row, problem) => log.error({ tenant, row, problem }, 'a ciphertext cannot be rewrapped'),
      version: (tenant, version) => log.debug({ tenant, version }, 'looked at a tenant’s key'),
    },
    onRewrapped: metrics.rewrapped,
    receiver,
    signingSecrets: createSigningSecrets({
      vault,
      kv: config.vault.kvMount,
      clock: identityClock,
      overlapMs: config.notification.secretOverlapMs,
    }),
    publicUrl: config.http.publicUrl,
    // The receiver's time, and some for Vault and PostgreSQL.
    deliveryLeaseMs: config.notification.timeoutMs + 30_000,
    deliveryConcurrency: config.notification.concurrency,
    retryForMs: config.notification.retryForMs,
    expiring: config.notification,
    onDelivery: (result, { id, type }, problem) => {
      metrics.notified(result);
      const told = { notification: id, type, result, ...(problem && { problem }) };
      if (result === 'dead' || result === 'withheld') log.warn(told, 'a notification was not delivered');
      else log.debug(told, 'a notification was handled');
    },
    onReceiver: (isDown) => {
      metrics.notificationReceiver(isDown);
      if (isDown) log.warn({}, 'the notification service seems to be down: one message at a time tries it');
      else log.info({}, 'the notification service answers again');
    },
    revocationLists: createRevocationLists({ vault, pki: config.vault.pkiMount, clock: identityClock }),
    revocationSettings: config.crl,
    onDenials: metrics.denials,
    onRevocations: metrics.revokedCertificates,
    onRevocationsUnknown: (err) => log.warn({ err }, 'Vault’s revocation lists cannot be fetched'),
    shredApprovals: config.shred.approvals,
    shredRequestTtlMs: config.shred.requestTtlMs,
  });

  closers.push(() => flows.refusals.stop());

  let grpc: GrpcServer | undefined;
  identity = await available('vault', () =>
    startBrokerIdentity({
      authority,
      spiffeId: `spiffe://${config.trustDomain}/broker`,
      pkiRole: config.vault.pkiRole,
      clock: identityClock,
      randomFraction,
      sleep,
      onRotated: (rotated) => {
        metrics.certificateEnds(rotated.notAfter);
        grpc?.rotate(rotated);
      },
      onFault,
    }),
  );
  closers.push(identity.stop);

  wakeScheduler = flows.scheduler.wake;
  checkpointer = createAuditCheckpointer({
    chains: store.auditChains,
    signer: checkpointSigner,
    anchors: auditAnchors,
    // Signatures are dated by the real time, as everything of Vault's is.
    clock: identityClock,
    afterRecords: config.audit.checkpointRecords,
    afterMs: config.audit.checkpointIntervalMs,
    onChain: metrics.auditChainBroken,
    onBroken: (found) => log.error(found, 'the audit record is not what Vault holds signed of it'),
    onFault: (err) => log.warn({ err }, 'an audit chain could not be signed; tried again'),
    sleep,
  });
  const auditCheckpointer = checkpointer;
  auditCheckpointer.start();
  closers.push(() => auditCheckpointer.stop());

  serveRegions.start();
  closers.push(() => serveRegions.stop());
  flows.noteUse.start();
  flows.scheduler.start();
  closers.push(() => flows.scheduler.stop());
  flows.keyKeeper.start();
  closers.push(() => flows.keyKeeper.stop());
  flows.shreds.start();
  closers.push(() => flows.shreds.stop());
  flows.revocations.start();
  closers.push(() => flows.revocations.stop());
  flows.wakings.start();
  closers.push(() => flows.wakings.stop());

  flows.notifications.start();
  closers.push(() => flows.notifications.stop());

  flows.followChanges.start();
  watchChannels = flows.watchChannels;
  closers.push(() => flows.followChanges.stop());

  // Before anybody is let in.
  await available('database', () => flows.denyList.load());
  closers.push(() => flows.denyList.stop());
  await flows.revokedCertificates
    .look()
    .catch((err) => log.warn({ err }, 'Vault’s revocation lists cannot be fetched'));
  flows.revokedCertificates.start();
  closers.push(() => flows.revokedCertificates.stop());
  revoked = flows.revokedCertificates;
  metrics.revocationLists(flows.revokedCertificates);

  const certificates = createPeerCertificates();
  const identifyPeer = createIdentifyPeer({
    certificates,
    shutOut: flows.shutOut,
    trustDomain: config.trustDomain,
    clock: identityClock,
    newRequestId,
  });
  grpc = await startGrpcServer({
    listen: config.grpc.listen,
    identity: identity.current(),
    certificates,
    identifyPeer,
    onRefused(refusal, ip) {
      metrics.connectionRefused(refusal);
      if (!identityRefusals.has(refusal)) return;
      flows.recordDeniedIdentity({ ip, requestId: newRequestId(), detail: refusal }).catch(onFault);
    },
    isOver: ({ spiffeId, serial, notAfter }) =>
      notAfter <= identityClock.now().getTime() || flows.shutOut.refusalOf({ spiffeId, serial }) !== undefined,
    tokenService: createTokenService({
      identifyPeer,
      getAccessToken: flows.getAccessToken,
      watchChannels: flows.watchChannels,
      shutOut: flows.shutOut,
      identityClock,
      recordLogin: flows.recordLogin,
      recordDeniedIdentity: flows.recordDeniedIdentity,
      newRequestId,
      onAnswered: metrics.tokenRequested,
      onSubscriptionEnded: metrics.subscriptionEnded,
      onFault,
    }),
  });
  metrics.connections(grpc.connections);
  closers.push(() => grpc?.stop(drainMs));
  // Before the server waits for its calls: a subscription does not end by itself.
  closers.push(() => flows.watchChannels.stop());
  // Before that: what is watched is in use.
  closers.push(async () => {
    await flows.noteUse.stop();
    await flows.noteUse.flush().catch(() => undefined);
  });

  const http = await createHttpServer({
    flows,
    verifyIdentity: createJwtVerifier({
      issuer: config.identity.issuer,
      audience: config.identity.audience,
      now: () => identityClock.now(),
      deadlineMs: 5_000,
      unavailable: 'IDENTITY_PROVIDER_UNAVAILABLE',
    }),
    claims: config.identity.claims,
    publicUrl: config.http.publicUrl,
    trustedProxies: config.http.trustedProxies,
    authorizationUrl: config.google.authorizationUrl,
    log,
    newRequestId,
    version,
  }).listen(config.http.listen);
  closers.push(() => http.close());
  // Whoever follows the audit record waits for news: not for a broker that stops.
  closers.push(() => flows.audit.stop());

  log.info({ http: http.port, grpc: grpc.port, operations: operations.port, version, replica }, 'broker serves');
  return {
    httpPort: http.port,
    grpcPort: grpc.port,
    operationsPort: operations.port,
    refreshDue: () => flows.scheduler.runOnce(),
    checkpointDue: () => auditCheckpointer.runOnce(),
    keepKeysDue: () => flows.keyKeeper.runOnce(),
    continueShreds: () => flows.shreds.runOnce(),
    continueRevocations: () => flows.revocations.runOnce(),
    deliverNotifications: () => flows.notifications.runOnce(),
  };
}

/** A second's worth may go at once; however often Google complains, one request a second is left. */
function clientRate(perSecond: number): BucketRules {
  return { ratePerSecond: perSecond, burst: perSecond, slowestPerSecond: 1 };
}

/** A minute's worth may come at once. */
function forcedRate(perMinute: number): BucketRules {
  return { ratePerSecond: perMinute / 60, burst: perMinute, slowestPerSecond: perMinute / 60 };
}

/** Without a certificate that is valid no sidecar can connect. */
function requireValid(identity: BrokerIdentity | undefined, clock: Clock): void {
  if (identity && identity.notAfter > clock.now()) return;
  throw new BrokerError('VAULT_UNAVAILABLE', { detail: identity ? 'certificate has expired' : 'no certificate yet' });
}

/** Waits; ends early, without an error, when the signal fires. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await timer(ms, undefined, { signal }).catch(() => undefined);
}
