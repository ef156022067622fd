/** What the broker counts. Names and labels stand here and nowhere else; the only place that imports prom-client. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  /** A refresh ended: `ok`, the failure class, or `broker_fault`. */
  refreshed(result: string): void;
  /** The scheduler began a refresh so long after it was due. */
  refreshBegun(lateMs: number): void;
  /** A refresh was not done, because it was not the turn of its OAuth client: `rate`, `breaker`, `bulkhead` or `incident`. */
  notAdmitted(oauthClient: string, refusal: string): void;
  /** Whether the breaker of an OAuth client is open. */
  breaker(oauthClient: string, isOpen: boolean): void;
  /** This replica serves so many regions that no live replica was given. */
  regionsTakenOver(count: number): void;
  /** The incidents of OAuth clients that are open. */
  openIncidents(incidents: readonly { readonly oauthClient: string; readonly kind: string }[]): void;
  /** A security event came: its type, `unknown`, or `refused`. One that comes again is not counted. */
  securityEvent(type: string): void;
  /** A call of the gRPC API ended: `ok` or the stable error code. */
  tokenRequested(result: string): void;
  /** A connection of a sidecar, or of whoever it was, came to nothing. */
  connectionRefused(because: string): void;
  /** Asked, at each scrape, how many connections there are. */
  connections(counts: () => { readonly unproven: number; readonly proven: number }): void;
  /** So many workloads and certificates are shut out of everything. */
  denials(subjects: number): void;
  /** So many certificates are revoked, by Vault's lists. */
  revokedCertificates(count: number): void;
  /** Asked, at each scrape, how old Vault's revocation lists are. */
  revocationLists(lists: {
    readonly fetchedAt: () => Date | undefined;
    readonly nextUpdate: () => Date | undefined;
  }): void;
  /** A subscription of a sidecar ended: `ok`, `cancelled` or the stable error code. */
  subscriptionEnded(result: string): void;
  /** So many subscriptions are open. */
  subscriptions(open: number): void;
  /** Whether changes in the database are heard of. */
  hearing(hears: boolean): void;
  /** So many changes were heard of. */
  changes(count: number): void;
  /** The broker's own certificate ends then. */
  certificateEnds(at: Date): void;
  /** A group of audit records was written, and where. */
  recorded(to: 'database' | 'spool', records: number): void;
  /** Asked, at each scrape, what waits in the spool of audit records. */
  auditSpool(waiting: () => { readonly records: number; readonly since: Date | undefined }): void;
  /** Asked at each scrape how many received refresh tokens wait on disk to be stored. */
  spooledTokens(count: () => number): void;
  /** Whether a chain of the audit record is not what Vault holds of it; the installation's is `installation`. */
  auditChainBroken(chain: string, broken: boolean): void;
  /** So many rows were rewrapped. */
  rewrapped(rows: number): void;
  /** So many rows of the tenant need a key version before the newest. */
  rowsToRewrap(tenant: string, rows: number): void;
  /** The tenant's key is missing or unsuitable, or is not. */
  keyFault(tenant: string, isFaulty: boolean): void;
  /** A try at delivering a notification ended. */
  notified(result: string): void;
  /** Whether the notification service seems to be down. */
  notificationReceiver(isDown: boolean): void;
  /** The Prometheus text format. */
  text(): Promise<string>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  // It wakes the process each time: at its usual 10 ms that costs more than everything else that an idle broker does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 250 });
  const refreshes = new Counter({
    name: 'token_broker_refreshes_total',
    help: 'Refresh grants asked for, by result: ok, the failure class, or broker_fault.',
    labelNames: ['result'],
    registers: [registry],
  });
  const refreshDelay = new Histogram({
    name: 'token_broker_refresh_delay_seconds',
    help: 'How long after its due time the scheduler began a refresh.',
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600],
    registers: [registry],
  });
  const notAdmitted = new Counter({
    name: 'token_broker_refreshes_put_off_total',
    help: 'Refreshes that were put off, by what stood in the way of their OAuth client: rate, breaker, bulkhead or incident.',
    labelNames: ['oauth_client', 'because'],
    registers: [registry],
  });
  const breakers = new Gauge({
    name: 'token_broker_oauth_client_breaker_open',
    help: 'Whether this replica has stopped asking with an OAuth client after failures in a row (1) or not (0).',
    labelNames: ['oauth_client'],
    registers: [registry],
  });
  const takenOver = new Gauge({
    name: 'token_broker_regions_taken_over',
    help: 'Regions that this replica serves because no live replica was given them.',
    registers: [registry],
  });
  const openIncidents = new Gauge({
    name: 'token_broker_oauth_client_incidents',
    help: 'Open incidents of OAuth clients (1), by kind: client_rejected or mass_invalid_grant.',
    labelNames: ['oauth_client', 'kind'],
    registers: [registry],
  });
  const securityEvents = new Counter({
    name: 'token_broker_security_events_total',
    help: 'Security events of Google, by type, or unknown, or refused.',
    labelNames: ['type'],
    registers: [registry],
  });
  const tokenRequests = new Counter({
    name: 'token_broker_token_requests_total',
    help: 'Calls of GetAccessToken, by result: ok or the stable error code.',
    labelNames: ['result'],
    registers: [registry],
  });
  const connectionsRefused = new Counter({
    name: 'token_broker_connections_refused_total',
    help: 'Connections to the gRPC API that came to nothing, by why: no_certificate, untrusted_certificate, too_slow, …',
    labelNames: ['because'],
    registers: [registry],
  });
  const denials = new Gauge({
    name: 'token_broker_denied_workloads',
    help: 'Workloads and certificates that are shut out of everything.',
    registers: [registry],
  });
  const revokedCertificates = new Gauge({
    name: 'token_broker_revoked_certificates',
    help: 'Certificates on Vault’s revocation lists, as this replica last fetched them.',
    registers: [registry],
  });
  const subscriptionsEnded = new Counter({
    name: 'token_broker_subscriptions_ended_total',
    help: 'Calls of Subscribe that ended, by result: ok, cancelled or the stable error code.',
    labelNames: ['result'],
    registers: [registry],
  });
  const subscriptions = new Gauge({
    name: 'token_broker_subscriptions',
    help: 'Subscriptions of sidecars that are open.',
    registers: [registry],
  });
  const hearing = new Gauge({
    name: 'token_broker_changes_heard',
    help: 'Whether changes in the database are heard of (1) or not (0).',
    registers: [registry],
  });
  const changes = new Counter({
    name: 'token_broker_changes_total',
    help: 'Changes of channels and accesses that were heard of.',
    registers: [registry],
  });
  const certificateExpiry = new Gauge({
    name: 'token_broker_certificate_expiry_timestamp_seconds',
    help: 'When the certificate that the broker shows to sidecars expires (Unix time).',
    registers: [registry],
  });

  const notifications = new Counter({
    name: 'token_broker_notification_deliveries_total',
    help: 'Tries at delivering a notification, by result: delivered, failed, dead, superseded, withheld or held.',
    labelNames: ['result'],
    registers: [registry],
  });
  const receiverDown = new Gauge({
    name: 'token_broker_notification_receiver_down',
    help: 'Whether the notification service seems to be down, so that one try at a time probes it (1), or not (0).',
    registers: [registry],
  });
  const auditChainBroken = new Gauge({
    name: 'token_broker_audit_chain_broken',
    help: '1 where an audit chain differs from its anchor in Vault: records were changed or removed, or an old database was put back.',
    labelNames: ['chain'],
    registers: [registry],
  });
  const rewrappedRows = new Counter({
    name: 'token_broker_rewrapped_rows_total',
    help: 'Ciphertexts that were moved to a newer version of their tenant’s key.',
    registers: [registry],
  });
  const rowsToRewrap = new Gauge({
    name: 'token_broker_rows_to_rewrap',
    help: 'Ciphertexts below the newest version of the tenant’s key, as this replica last counted them.',
    labelNames: ['tenant'],
    registers: [registry],
  });
  const keyFaults = new Gauge({
    name: 'token_broker_tenant_key_fault',
    help: 'Whether the tenant’s key in Vault is missing or unsuitable (1) or not (0), as this replica last saw it.',
    labelNames: ['tenant'],
    registers: [registry],
  });

  const auditRecords = new Counter({
    name: 'token_broker_audit_records_total',
    help: 'Audit records that were written in groups, by where: database or spool. What is drained counts for both.',
    labelNames: ['to'],
    registers: [registry],
  });
  const auditGroups = new Counter({
    name: 'token_broker_audit_groups_total',
    help: 'Groups in which audit records were written, by where: database or spool.',
    labelNames: ['to'],
    registers: [registry],
  });
  new Gauge({
    name: 'token_broker_audit_spooled_records',
    help: 'Audit records that wait in the spool for the database.',
    registers: [registry],
    collect() {
      this.set(spooled().records);
    },
  });
  new Gauge({
    name: 'token_broker_audit_spool_age_seconds',
    help: 'How long the oldest file of the spool of audit records has waited; 0 where none waits.',
    registers: [registry],
    collect() {
      const { since } = spooled();
      this.set(since ? Math.max(0, (Date.now() - since.getTime()) / 1000) : 0);
    },
  });
  let spooled: () => { readonly records: number; readonly since: Date | undefined } = () => ({
    records: 0,
    since: undefined,
  });

  return {
    notified: (result) => notifications.inc({ result }),
    notificationReceiver: (isDown) => receiverDown.set(isDown ? 1 : 0),
    rewrapped: (rows) => rewrappedRows.inc(rows),
    rowsToRewrap: (tenant, rows) => rowsToRewrap.set({ tenant }, rows),
    keyFault: (tenant, isFaulty) => keyFaults.set({ tenant }, isFaulty ? 1 : 0),
    recorded(to, records) {
      auditGroups.inc({ to });
      auditRecords.inc({ to }, records);
    },
    auditSpool(waiting) {
      spooled = waiting;
    },
    notAdmitted: (oauthClient, because) => notAdmitted.inc({ oauth_client: oauthClient, because }),
    breaker: (oauthClient, isOpen) => breakers.set({ oauth_client: oauthClient }, isOpen ? 1 : 0),
    openIncidents(incidents) {
      openIncidents.reset();
      for (const { oauthClient, kind } of incidents) openIncidents.set({ oauth_client: oauthClient, kind }, 1);
    },
    refreshed: (result) => refreshes.inc({ result }),
    refreshBegun: (lateMs) => refreshDelay.observe(lateMs / 1000),
    regionsTakenOver: (count) => takenOver.set(count),
    securityEvent: (type) => securityEvents.inc({ type }),
    tokenRequested: (result) => tokenRequests.inc({ result }),
    connectionRefused: (because) => connectionsRefused.inc({ because }),
    connections(counts) {
      new Gauge({
        name: 'token_broker_connections',
        help: 'Connections to the gRPC API that are proven by a certificate.',
        registers: [registry],
        collect() {
          this.set(counts().proven);
        },
      });
      new Gauge({
        name: 'token_broker_unproven_connections',
        help: 'Connections to the gRPC API that have not come to the end of the handshake.',
        registers: [registry],
        collect() {
          this.set(counts().unproven);
        },
      });
    },
    denials: (subjects) => denials.set(subjects),
    revokedCertificates: (count) => revokedCertificates.set(count),
    revocationLists({ fetchedAt, nextUpdate }) {
      new Gauge({
        name: 'token_broker_crl_age_seconds',
        help: 'How long ago Vault’s revocation lists were last fetched; -1 where they never were.',
        registers: [registry],
        collect() {
          const at = fetchedAt();
          this.set(at ? Math.max(0, (Date.now() - at.getTime()) / 1000) : -1);
        },
      });
      new Gauge({
        name: 'token_broker_crl_next_update_timestamp_seconds',
        help: 'When the first of Vault’s revocation lists runs out (Unix time); 0 where none says so.',
        registers: [registry],
        collect() {
          this.set((nextUpdate()?.getTime() ?? 0) / 1000);
        },
      });
    },
    subscriptionEnded: (result) => subscriptionsEnded.inc({ result }),
    subscriptions: (open) => subscriptions.set(open),
    hearing: (hears) => hearing.set(hears ? 1 : 0),
    changes: (count) => changes.inc(count),
    certificateEnds: (at) => certificateExpiry.set(at.getTime() / 1000),
    spooledTokens(count) {
      new Gauge({
        name: 'token_broker_spooled_refresh_tokens',
        help: 'Received refresh tokens that wait on this replica’s disk until Vault and PostgreSQL take them.',
        registers: [registry],
        collect() {
          this.set(count());
        },
      });
    },
    auditChainBroken: (chain, broken) => auditChainBroken.set({ chain: chain || 'installation' }, broken ? 1 : 0),
    text: () => registry.metrics(),
  };
}
