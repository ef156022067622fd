/** All flows, wired to their ports, in the order of a channel's life. */
import type { ExpiringSettings } from '../domain/expiring.ts';
import type { RandomBytes } from '../domain/identifier.ts';
import type { BucketRules } from '../domain/token-bucket.ts';
import type {
  AccessTokenCache,
  Admission,
  AuditAnchors,
  AuthorizationServer,
  CheckpointSigner,
  Clock,
  DataKeys,
  DpopKeys,
  NotificationReceiver,
  OAuthClientSecrets,
  RateLimits,
  RefreshTokenSpool,
  RevocationLists,
  SecurityEventTokens,
  SigningSecrets,
  Store,
  TenantKeys,
  YouTube,
} from '../ports.ts';
import { createAcceptRestore } from './accept-restore.ts';
import { createAddChannel } from './add-channel.ts';
import { createAddOAuthClient } from './add-oauth-client.ts';
import { createAllowWorkload } from './allow-workload.ts';
import { createApplyRetention, type RetentionSettings } from './apply-retention.ts';
import { createAuthorize } from './authorize.ts';
import { createBeginConsent } from './begin-consent.ts';
import { createEnableOAuthClient, createSetDpop, createSetPublishing } from './change-oauth-client.ts';
import { createCompleteConsent } from './complete-consent.ts';
import { createContinueRevocations } from './continue-revocations.ts';
import { createContinueShreds } from './continue-shreds.ts';
import { createCreateTenant } from './create-tenant.ts';
import type { DatabasePresence } from './database-presence.ts';
import { createDeliverNotification, type DeliverDeps } from './deliver-notification.ts';
import { createDenyList } from './deny-list.ts';
import { createDenyWorkload } from './deny-workload.ts';
import { createExportAudit } from './export-audit.ts';
import { createFailConsent } from './fail-consent.ts';
import { createFinishConsents } from './finish-consents.ts';
import { createFollowChanges } from './follow-changes.ts';
import { createGetAccessToken } from './get-access-token.ts';
import { createInviteConsent } from './invite-consent.ts';
import type { KeyNews } from './keep-tenant-key.ts';
import { createListChannels } from './list-channels.ts';
import { createListOAuthClients } from './list-oauth-clients.ts';
import { createListReplicas } from './list-replicas.ts';
import { createListTenants } from './list-tenants.ts';
import { createLookUpReadable } from './look-up-readable.ts';
import { createManageNotifications } from './manage-notifications.ts';
import { createManageWorkloads } from './manage-workloads.ts';
import { createNoteUse } from './note-use.ts';
import { createNotificationLoop } from './notification-loop.ts';
import type { OAuthClientIncidents } from './oauth-client-incidents.ts';
import { createPerformRefresh, type RefreshDeps } from './perform-refresh.ts';
import { createPlanRefresh } from './plan-refresh.ts';
import { createReadAudit } from './read-audit.ts';
import { createReceiveSecurityEvent } from './receive-security-event.ts';
import { createReceiverBreaker } from './receiver-breaker.ts';
import { createRecordDeniedIdentity } from './record-denied-identity.ts';
import { createRecordLogin } from './record-login.ts';
import { createRecordRefusals } from './record-refusals.ts';
import { createRefreshChannel } from './refresh-channel.ts';
import { createRefreshScheduler } from './refresh-channels.ts';
import { createRefreshFlights } from './refresh-flights.ts';
import { createRevokeByOwner } from './revoke-by-owner.ts';
import { createRevokeChannel } from './revoke-channel.ts';
import { createRevokeGrant } from './revoke-grant.ts';
import { createRevokedCertificates, type RevocationSettings } from './revoked-certificates.ts';
import {
  createRetireClientSecrets,
  createRotateClientSecret,
  createRotateDpopKey,
} from './rotate-client-credentials.ts';
import { createRunClaim } from './run-claim.ts';
import { createSettleGrant } from './settle-grant.ts';
import { createSettleInGroups } from './settle-in-groups.ts';
import { createShowChannel } from './show-channel.ts';
import { createShowOAuthClient } from './show-oauth-client.ts';
import { createShredTenant } from './shred-tenant.ts';
import { createShutOut } from './shut-out.ts';
import { createStoreSpooledTokens } from './store-spooled-tokens.ts';
import { createSuspendChannel } from './suspend-channel.ts';
import { createTellExpiring } from './tell-expiring.ts';
import { createTenantKeyFlows } from './tenant-key-flows.ts';
import { createOAuthClientIncidentFlows } from './thaw-oauth-client.ts';
import { createViewConsent } from './view-consent.ts';
import { createWakeChannels } from './wake-channels.ts';
import { createWatchChannels } from './watch-channels.ts';
import { createWorkLoop } from './work-loop.ts';

export interface FlowDeps {
  /** Its `audit.append` writes in groups, and to the spool while the database is away. */
  readonly store: Store;
  readonly presence: DatabasePresence;
  readonly keys: TenantKeys;
  readonly spool: RefreshTokenSpool;
  readonly dpopKeys: DpopKeys;
  readonly secrets: OAuthClientSecrets;
  readonly google: AuthorizationServer;
  readonly youtube: YouTube;
  readonly securityEventTokens: SecurityEventTokens;
  readonly cache: AccessTokenCache;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly randomFraction: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly newRequestId: () => string;
  readonly onRefreshed: RefreshDeps['onRefreshed'];
  readonly onSecurityEvent: (type: string) => void;
  readonly onHearing: (hears: boolean, error?: Error) => void;
  readonly onChanges: (count: number) => void;
  readonly onWatches: (open: number) => void;
  readonly onFault: (error: unknown) => void;
  readonly monotonicMs: () => number;
  readonly onClockJump: (jumpMs: number, replanned: number) => void;
  readonly checkpointSigner: CheckpointSigner;
  readonly auditAnchors: AuditAnchors;
  readonly operatorsGroup: string;
  readonly auditorsGroup: string;
  readonly defaultRegion: string;
  readonly trustDomain: string;
  readonly linkTtlMs: number;
  readonly retention: RetentionSettings;
  readonly refreshConcurrency: number;
  /** How long a channel counts as in use after a workload used it. */
  readonly activeWindowMs: number;
  /** The limits of each OAuth client. */
  readonly admission: Admission;
  readonly incidents: OAuthClientIncidents;
  readonly rateLimits: RateLimits;
  /** Of forced refreshes of one workload. */
  readonly forcedRate: BucketRules;
  /** The regions that this replica serves now; undefined for every one. */
  readonly regions: () => readonly string[] | undefined;
  /** The name of this replica. */
  readonly replica: string;
  /** How long a replica may be silent before others serve its regions. */
  readonly takeoverMs: number;
  /** Told how late a refresh of the scheduler begins, in milliseconds. */
  readonly onBegun: (lateMs: number) => void;
  readonly dataKeys: DataKeys;
  /** That Vault dates key versions by. */
  readonly identityClock: Clock;
  readonly keySettings: KeySettings;
  readonly keyNews: KeyNews;
  readonly onRewrapped: (rows: number) => void;
  /** Absent where no receiver is set: then notifications are kept and nothing is sent. */
  readonly receiver: NotificationReceiver | undefined;
  readonly signingSecrets: SigningSecrets;
  readonly publicUrl: string;
  readonly deliveryLeaseMs: number;
  readonly deliveryConcurrency: number;
  readonly retryForMs: number;
  readonly expiring: ExpiringSettings;
  readonly onDelivery: DeliverDeps['onDelivery'];
  /** Told when the receiver seems to be down, and when it answers again. */
  readonly onReceiver: (isDown: boolean) => void;
  readonly revocationLists: RevocationLists;
  readonly revocationSettings: RevocationSettings;
  /** Told how many are shut out of everything, and how many certificates are revoked. */
  readonly onDenials: (subjects: number) => void;
  readonly onRevocations: (certificates: number) => void;
  /** Told when revocation lists cannot be fetched. */
  readonly onRevocationsUnknown: (error: unknown) => void;
  readonly shredApprovals: number;
  readonly shredRequestTtlMs: number;
}

export interface KeySettings {
  readonly pollIntervalMs: number;
  readonly rewrapRowsPerSecond: number | undefined;
  readonly minVersionGraceMs: number;
}

export type Flows = ReturnType<typeof createFlows>;

export function createFlows(raw: FlowDeps) {
  const given = {
    ...raw,
    store: {
      ...raw.store,
      channels: {
        ...raw.store.channels,
        ...createSettleInGroups(raw.store.channels, () => scheduler.wake()),
      },
    },
  };
  const authorize = createAuthorize(given);
  const refusals = createRecordRefusals(given);
  const exportAudit = createExportAudit({
    chains: given.store.auditChains,
    signer: given.checkpointSigner,
    anchors: given.auditAnchors,
    clock: given.clock,
  });
  const deps = { ...given, authorize, refusals };
  const lookUpReadable = createLookUpReadable(deps);
  const watchChannels = createWatchChannels(deps);
  const noteUse = createNoteUse({ ...deps, watched: watchChannels.watched });
  const planRefresh = createPlanRefresh({ ...deps, lastUsedAt: noteUse.lastUsedAt });
  const runClaim = createRunClaim({ ...deps, performRefresh: createPerformRefresh({ ...deps, planRefresh }) });
  const flights = createRefreshFlights();
  const refreshChannel = createRefreshChannel({ ...deps, runClaim, flights });
  const failConsent = createFailConsent(deps);
  const settleGrant = createSettleGrant({ ...deps, failConsent, onActive: () => scheduler.wake() });
  const finishConsents = createFinishConsents({ ...deps, failConsent, settleGrant });
  const scheduler = createRefreshScheduler({
    ...deps,
    runClaim,
    flights,
    storeSpooledTokens: createStoreSpooledTokens(deps),
    finishConsents,
    applyRetention: createApplyRetention({ ...deps, startedBy: 'schedule' }).run,
    concurrency: given.refreshConcurrency,
  });
  const revokeGrant = createRevokeGrant(deps);
  const shreds = createWorkLoop({ ...deps, step: createContinueShreds({ ...deps, revokeGrant }) });
  const revocations = createWorkLoop({
    ...deps,
    step: createContinueRevocations({ ...deps, revokeGrant, onDue: () => scheduler.wake() }),
  });

  const wakings = createWorkLoop({
    ...deps,
    step: createWakeChannels({ ...deps, runClaim, onActive: () => scheduler.wake() }),
  });

  const { receiver } = given;
  const notifications = createNotificationLoop({
    ...deps,
    deliver: receiver && createDeliverNotification({ ...deps, receiver: createReceiverBreaker({ ...deps, receiver }) }),
    tellExpiring: createTellExpiring(deps),
  });

  const tenantKeys = createTenantKeyFlows(deps);

  const denyList = createDenyList({
    ...deps,
    onChange(subjects) {
      given.onDenials(subjects);
      shutOut.changed();
    },
  });
  const revokedCertificates = createRevokedCertificates({
    ...deps,
    lists: given.revocationLists,
    settings: given.revocationSettings,
    clock: given.identityClock,
    onChange(certificates) {
      given.onRevocations(certificates);
      shutOut.changed();
    },
    onFault: given.onRevocationsUnknown,
  });
  const shutOut = createShutOut({ denyList, revoked: revokedCertificates });

  return {
    createTenant: createCreateTenant(deps),
    listTenants: createListTenants(deps),
    showTenantKey: tenantKeys.show,
    changeTenantKey: tenantKeys.change,
    keyKeeper: tenantKeys.keeper,
    shredTenant: createShredTenant({ ...deps, wakeShreds: shreds.wake }),
    addOAuthClient: createAddOAuthClient(deps),
    listOAuthClients: createListOAuthClients(deps),
    enableOAuthClient: createEnableOAuthClient({ ...deps, onEnabled: () => scheduler.wake() }),
    showOAuthClient: createShowOAuthClient(deps),
    setDpop: createSetDpop(deps),
    setPublishing: createSetPublishing(deps),
    rotateClientSecret: createRotateClientSecret(deps),
    oauthClientIncidents: createOAuthClientIncidentFlows({ ...deps, onThawed: () => scheduler.wake() }),
    retireClientSecrets: createRetireClientSecrets(deps),
    rotateDpopKey: createRotateDpopKey(deps),
    addChannel: createAddChannel(deps),
    inviteConsent: createInviteConsent(deps),
    listChannels: createListChannels(deps),
    showChannel: createShowChannel(deps),
    allowWorkload: createAllowWorkload(deps),
    manageWorkloads: createManageWorkloads({ ...deps, listChannels: createListChannels(deps) }),
    denyWorkload: createDenyWorkload(deps),
    denyList,
    revokedCertificates,
    shutOut,
    suspendChannel: createSuspendChannel({ ...deps, onActive: () => scheduler.wake() }),
    revokeChannel: createRevokeChannel({ ...deps, wakeRevocations: revocations.wake }),
    revokeByOwner: createRevokeByOwner({ ...deps, wakeRevocations: revocations.wake }),

    viewConsent: createViewConsent(deps),
    beginConsent: createBeginConsent(deps),
    completeConsent: createCompleteConsent({ ...deps, failConsent, settleGrant }),

    getAccessToken: createGetAccessToken({ ...deps, lookUpReadable, refreshChannel, onUsed: noteUse.used }),
    noteUse,
    scheduler,
    shreds,
    revocations,
    wakings,
    notifications,
    manageNotifications: createManageNotifications(deps),

    listReplicas: createListReplicas(deps),
    acceptRestore: createAcceptRestore(deps),
    watchChannels,
    followChanges: createFollowChanges({
      ...deps,
      watchChannels,
      denialsChanged: denyList.changed,
      forget: (channel) => {
        lookUpReadable.forget(channel);
        refreshChannel.changed(channel);
      },
    }),

    receiveSecurityEvent: createReceiveSecurityEvent({
      ...deps,
      tokens: given.securityEventTokens,
      onDue: () => {
        scheduler.wake();
        wakings.wake();
      },
      onReceived: given.onSecurityEvent,
    }),
    audit: createReadAudit({ ...deps, exportAudit }),
    recordLogin: createRecordLogin(deps),
    recordDeniedIdentity: createRecordDeniedIdentity(deps),
    refusals,
  };
}
