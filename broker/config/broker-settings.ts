/** What `broker serve` and `broker migrate` are told, in the order of docs/configuration.md. */
import * as z from 'zod';
import { setting } from './setting.ts';
import * as is from './values.ts';

const google = 'https://accounts.google.com';

export const brokerSettings = z.object({
  http: z.object({
    listen: setting(
      'BROKER_LISTEN',
      is.listenAddress,
      'Where consent pages and the admin API are served, in plain HTTP: put a TLS gateway in front.',
      {
        default: '127.0.0.1:8080',
      },
    ),
    publicUrl: setting(
      'BROKER_PUBLIC_URL',
      is.origin,
      'How browsers reach the gateway. The redirect URI registered at Google is this with /oauth2/callback.',
      {
        example: 'https://broker.example.com',
      },
    ),
    trustedProxies: setting(
      'BROKER_TRUSTED_PROXIES',
      is.networks.default([]),
      'Networks of the gateways whose X-Forwarded-For and Forwarded headers are believed. Nobody is believed where it is not set.',
      {
        example: '10.0.0.0/8,2001:db8::/32',
      },
    ),
  }),
  grpc: z.object({
    listen: setting(
      'BROKER_GRPC_LISTEN',
      is.listenAddress,
      'Where sidecars connect over mTLS. Do not end TLS in front of it.',
      {
        default: '127.0.0.1:8443',
      },
    ),
  }),
  operations: z.object({
    listen: setting(
      'BROKER_OPERATIONS_LISTEN',
      is.listenAddress,
      'Where /livez, /readyz and /metrics are served. Keep it away from the public.',
      {
        default: '127.0.0.1:9090',
      },
    ),
    logLevel: setting(
      'BROKER_LOG_LEVEL',
      is.oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
      'The least severe log lines that are written: trace, debug, info, warn, error or fatal.',
      {
        default: 'info',
      },
    ),
  }),
  trustDomain: setting(
    'BROKER_TRUST_DOMAIN',
    is.trustDomain,
    'The SPIFFE trust domain of the workloads and of the broker.',
    {
      default: 'token-broker.internal',
    },
  ),
  region: setting(
    'BROKER_REGION',
    is.name,
    'The region that a new channel is put into where none is named. A region is a name that channels are grouped by; which replica refreshes it is another setting, BROKER_REGIONS.',
    { default: 'default' },
  ),
  regions: z.object({
    served: setting(
      'BROKER_REGIONS',
      is.names.optional(),
      'The regions whose channels this replica refreshes, separated by commas. Where it is not set, all of them.',
      { example: 'eu,us-east' },
    ),
    takeoverMs: setting(
      'BROKER_REGION_TAKEOVER',
      is.duration,
      'How long a region goes without a replica that serves it before the other replicas refresh it, too.',
      { default: '60s' },
    ),
  }),
  store: z.object({
    databaseUrl: setting(
      'DATABASE_URL',
      is.connectionString('postgres', 'postgresql').optional(),
      'The PostgreSQL database, as the role that the broker runs as. Where it is not set, a PostgreSQL of the broker’s own runs in the data directory: for one replica only.',
      {
        example: 'postgresql://broker@db.example.com/broker?sslmode=verify-full',
      },
    ),
    migrationDatabaseUrl: setting(
      'BROKER_MIGRATION_DATABASE_URL',
      is.connectionString('postgres', 'postgresql').optional(),
      'The same database as the owner of its tables. For `broker migrate` only, which then gives the role in DATABASE_URL what the broker needs; keep it away from replicas.',
      {
        example: 'postgresql://broker_owner@db.example.com/broker?sslmode=verify-full',
      },
    ),
    dataDirectory: setting(
      'BROKER_DATA_DIR',
      is.path,
      'Where the broker keeps what it could not store yet (received refresh tokens, encrypted, and audit records), and its own PostgreSQL when DATABASE_URL is not set. Put it on a disk that outlives the process.',
      { default: '.data' },
    ),
  }),
  cache: z.object({
    redisUrl: setting(
      'REDIS_URL',
      is.connectionString('redis', 'rediss').optional(),
      'Redis, for access tokens (encrypted) and the rates that replicas share. Where it is not set, both are kept in the memory of this process: for one replica only.',
      {
        example: 'rediss://redis.example.com:6379',
      },
    ),
  }),
  vault: z.object({
    address: setting('VAULT_ADDR', is.url, 'The address of Vault or OpenBao.', {
      example: 'https://vault.example.com:8200',
    }),
    namespace: setting('VAULT_NAMESPACE', is.text.optional(), 'The Vault namespace that everything is in.', {
      example: 'media/',
    }),
    caFile: setting(
      'VAULT_CACERT',
      is.path.optional(),
      'A PEM file with the certificate authority of Vault, where the system’s own do not do.',
      {
        example: '/etc/token-broker/vault-ca.pem',
      },
    ),
    roleIdFile: setting('BROKER_VAULT_ROLE_ID_FILE', is.path, 'The file with the broker’s AppRole role id.', {
      example: '/run/secrets/role-id',
    }),
    secretIdFile: setting('BROKER_VAULT_SECRET_ID_FILE', is.path, 'The file with the broker’s AppRole secret id.', {
      example: '/run/secrets/secret-id',
    }),
    appRoleMount: setting('BROKER_VAULT_APPROLE_MOUNT', is.mountPath, 'Where the AppRole login is mounted.', {
      default: 'approle',
    }),
    transitMount: setting(
      'BROKER_VAULT_TRANSIT_MOUNT',
      is.mountPath,
      'Where the transit engine with the tenants’ keys is mounted.',
      { default: 'transit' },
    ),
    kvMount: setting(
      'BROKER_VAULT_KV_MOUNT',
      is.mountPath,
      'Where the KV version 2 engine with the OAuth clients’ secrets is mounted.',
      { default: 'oauth-clients' },
    ),
    anchorMount: setting(
      'BROKER_VAULT_ANCHOR_MOUNT',
      is.mountPath,
      'Where the KV version 2 engine with the anchors of the audit record is mounted.',
      { default: 'audit-anchors' },
    ),
    pkiMount: setting(
      'BROKER_VAULT_PKI_MOUNT',
      is.mountPath,
      'Where the PKI engine for workload identities is mounted.',
      { default: 'pki-workloads' },
    ),
    pkiRole: setting('BROKER_VAULT_PKI_ROLE', is.text, 'The PKI role that signs the broker’s own certificate.', {
      default: 'broker',
    }),
  }),
  identity: z.object({
    issuer: setting(
      'BROKER_OIDC_ISSUER',
      is.url,
      'The identity provider whose tokens prove who an admin is; its discovery document is found below this.',
      {
        example: 'https://vault.example.com:8200/v1/identity/oidc',
      },
    ),
    audience: setting('BROKER_OIDC_AUDIENCE', is.text, 'The audience that an identity token has to name.', {
      default: 'token-broker',
    }),
    claims: z.object({
      subject: setting('BROKER_OIDC_SUBJECT_CLAIM', is.text, 'The claim that names a person for good.', {
        default: 'sub',
      }),
      name: setting('BROKER_OIDC_NAME_CLAIM', is.text, 'The claim with the name to show.', { default: 'name' }),
      groups: setting('BROKER_OIDC_GROUPS_CLAIM', is.text, 'The claim with the names of the person’s groups.', {
        default: 'groups',
      }),
    }),
    operatorsGroup: setting(
      'BROKER_OPERATORS_GROUP',
      is.text,
      'The group whose members may create tenants and OAuth clients.',
      { default: 'token-broker-operators' },
    ),
    auditorsGroup: setting(
      'BROKER_AUDITORS_GROUP',
      is.text,
      'The group whose members may read the audit record of every tenant and of the installation, and nothing else.',
      { default: 'token-broker-auditors' },
    ),
  }),
  google: z.object({
    issuer: setting('BROKER_GOOGLE_ISSUER', is.url, 'The authorization server’s name for itself.', { default: google }),
    authorizationUrl: setting('BROKER_GOOGLE_AUTHORIZATION_URL', is.url, 'Where owners are sent to consent.', {
      default: `${google}/o/oauth2/v2/auth`,
    }),
    tokenUrl: setting('BROKER_GOOGLE_TOKEN_URL', is.url, 'The token endpoint.', {
      default: 'https://oauth2.googleapis.com/token',
    }),
    revocationUrl: setting('BROKER_GOOGLE_REVOCATION_URL', is.url, 'The revocation endpoint (RFC 7009).', {
      default: 'https://oauth2.googleapis.com/revoke',
    }),
    jwksUrl: setting('BROKER_GOOGLE_JWKS_URL', is.url, 'The keys that ID tokens are signed with.', {
      default: 'https://www.googleapis.com/oauth2/v3/certs',
    }),
    riscConfigurationUrl: setting(
      'BROKER_GOOGLE_RISC_CONFIGURATION_URL',
      is.url,
      'Where Google says which keys its security events are signed with (docs/security-events.md).',
      { default: `${google}/.well-known/risc-configuration` },
    ),
    youtubeUrl: setting('BROKER_GOOGLE_YOUTUBE_URL', is.url, 'The YouTube Data API.', {
      default: 'https://www.googleapis.com',
    }),
  }),
  refresh: z.object({
    concurrency: setting(
      'BROKER_REFRESH_CONCURRENCY',
      is.count(1, 1_000),
      'How many tokens this replica refreshes at the same time, and so the most connections to the token endpoint.',
      { default: '160' },
    ),
    activeWindowMs: setting(
      'BROKER_ACTIVE_WINDOW',
      is.duration,
      'How long a channel counts as in use after a worker read or watched it, or its owner consented. Tokens of channels in use are refreshed ahead of time; the grants of the others are proven once a day, and their tokens refreshed when they are asked for.',
      { default: '7d' },
    ),
    clientRate: setting(
      'BROKER_OAUTH_CLIENT_RATE',
      is.count(1, 100_000),
      'How many refreshes a second Google is asked for with one OAuth client in one region, all replicas together. Halved by itself where Google says that it is too much.',
      { default: '500' },
    ),
    forcedPerMinute: setting(
      'BROKER_FORCED_REFRESHES',
      is.count(1, 100_000),
      'How many refreshes a minute one workload gets by asking for more life than a token has left that is fresh enough for everybody else. Beyond that it is served the token as it is.',
      { default: '60' },
    ),
    replicas: setting(
      'BROKER_REPLICAS',
      is.count(1, 1_000),
      'How many brokers share that rate: while Redis is away, each keeps to its part of it. Not used where REDIS_URL is not set.',
      { default: '2' },
    ),
  }),
  freeze: z.object({
    minimum: setting(
      'BROKER_FREEZE_MINIMUM',
      is.count(2, 10_000),
      'How many grants of one OAuth client Google has to call dead, close together, for an incident; from half of that on, none of them is believed to be.',
      { default: '10' },
    ),
    sharePercent: setting(
      'BROKER_FREEZE_SHARE',
      is.count(1, 100),
      'What part of all answers in that time these have to be, in percent.',
      { default: '20' },
    ),
    windowMs: setting('BROKER_FREEZE_WINDOW', is.duration, 'Within what time they have to come.', { default: '15m' }),
  }),
  audit: z.object({
    patienceMs: setting(
      'BROKER_AUDIT_PATIENCE',
      is.duration,
      'How long a reader of a token waits for PostgreSQL. After that, what this replica read last decides, and the record goes to the spool in the data directory.',
      { default: '500ms' },
    ),
    spoolMebibytes: setting(
      'BROKER_AUDIT_SPOOL_MIB',
      is.count(1, 1_000_000),
      'How large the spool of audit records may grow, in MiB; a release takes about half a KiB. When it is full, nothing is released until PostgreSQL is back.',
      { default: '1024' },
    ),
    checkpointRecords: setting(
      'BROKER_AUDIT_CHECKPOINT_RECORDS',
      is.count(1, 1_000_000),
      'After how many records of a chain Vault signs its end, though the interval has not passed.',
      { default: '1000' },
    ),
    checkpointIntervalMs: setting(
      'BROKER_AUDIT_CHECKPOINT_INTERVAL',
      is.duration,
      'How long a record waits at most until Vault signs the end of its chain.',
      { default: '60s' },
    ),
  }),
  retention: z.object({
    revokedMs: setting(
      'BROKER_RETENTION_REVOKED',
      is.duration,
      'When the grant and the Google identity of a revoked channel are deleted at the latest. Source of the default: YouTube API Services Developer Policies III.D.2.c.',
      { default: '7d' },
    ),
    deadMs: setting(
      'BROKER_RETENTION_DEAD',
      is.duration,
      'The same for a channel whose grant was found dead at Google and whose owner did not consent anew (the same policies, III.D.2.c and III.E.4).',
      { default: '30d' },
    ),
    consentMs: setting(
      'BROKER_RETENTION_CONSENTS',
      is.duration,
      'When an authorization request that has expired, and a consent whose link has expired or was used, are deleted.',
      { default: '1d' },
    ),
    notificationMs: setting(
      'BROKER_RETENTION_NOTIFICATIONS',
      is.duration,
      'When a notification is deleted after it was delivered, given up, or true no more; also one that could not be sent in all that time because no receiver is set. Source of the default: ours, a quarter of a year to look back and to send dead letters again; nothing outside asks for a term, since it holds no data of Google’s.',
      { default: '90d' },
    ),
    mostPerRun: setting(
      'BROKER_RETENTION_BATCH',
      is.count(1, 10_000),
      'The most that one run of the retention deletes; the next run goes on.',
      { default: '500' },
    ),
    auditMs: setting(
      'BROKER_AUDIT_RETENTION',
      is.durationOrForEver,
      'How long the audit record is kept; 0 for ever. What is older goes when somebody runs `broker audit prune`, never by itself. Source of the default: PCI DSS 4.0.1, 10.5.1, asks for 12 months at least; Google Cloud keeps the audit log of its own admin activity for 400 days.',
      { default: '400d' },
    ),
    auditBatch: setting(
      'BROKER_AUDIT_PRUNE_BATCH',
      is.count(1, 1_000_000),
      'How many audit records `broker audit prune` deletes in one transaction, unless one signature of Vault covers more.',
      { default: '10000' },
    ),
  }),
  crl: z.object({
    pollMs: setting(
      'BROKER_CRL_POLL_INTERVAL',
      is.duration,
      'How often Vault’s certificate revocation lists are fetched: so long a revoked certificate is served at most, while Vault rebuilds its lists at once (its default, `auto_rebuild=false`). `broker workload deny` takes effect within a second.',
      { default: '10s' },
    ),
    staleAfterMs: setting(
      'BROKER_CRL_STALE_AFTER',
      is.duration,
      'How long these lists count as fresh when they cannot be fetched. /readyz says `degraded` after that.',
      { default: '5m' },
    ),
    whenStale: setting(
      'BROKER_CRL_WHEN_STALE',
      is.oneOf('serve', 'refuse'),
      'What is done when they are stale: `serve` on by what was known last, so that Vault may be away while issued tokens are served; `refuse` everybody. With `serve` a certificate that was revoked meanwhile is served to its end, an hour at most, unless it is denied (docs/decisions/0015).',
      { default: 'serve' },
    ),
  }),
  keys: z.object({
    pollIntervalMs: setting(
      'BROKER_KEY_POLL_INTERVAL',
      is.duration,
      'How often each tenant’s key is looked at; a rotation by Vault’s own tools is noticed within that time.',
      { default: '60s' },
    ),
    rewrapRowsPerSecond: setting(
      'BROKER_REWRAP_RATE',
      is.count(0, 1_000_000),
      'How many rows a replica rewraps in a second, at most; 0 for no limit.',
      { default: '1000' },
    ),
    minVersionGraceMs: setting(
      'BROKER_KEY_GRACE',
      is.duration,
      'How long after the last row was rewrapped a schedule raises the minimum key version. Longer than an access token lives and than a replica’s spool waits.',
      { default: '24h' },
    ),
  }),
  shred: z.object({
    approvals: setting(
      'BROKER_SHRED_APPROVALS',
      is.count(0, 1),
      'How many people besides the one who requests it have to approve that a tenant is shredded: 0 or 1.',
      { default: '1' },
    ),
    requestTtlMs: setting(
      'BROKER_SHRED_REQUEST_TTL',
      is.duration,
      'How long a request to shred a tenant can be approved and started.',
      { default: '72h' },
    ),
  }),
  notification: z.object({
    url: setting(
      'BROKER_NOTIFICATION_URL',
      is.httpsUrl.optional(),
      'The webhook of your notification service. Where it is not set, notifications are kept and listed, and nothing is sent.',
      { example: 'https://notify.example.com/hooks/token-broker' },
    ),
    allowedNetworks: setting(
      'BROKER_NOTIFICATION_ALLOWED_NETWORKS',
      is.networks.default([]),
      'Networks that the webhook may be in beside the public internet. Looked at for the address that is connected to.',
      { example: '10.20.0.0/16' },
    ),
    caFile: setting(
      'BROKER_NOTIFICATION_CACERT',
      is.path.optional(),
      'A PEM file with the certificate authority of the webhook, where the system’s own do not do.',
      { example: '/etc/token-broker/webhook-ca.pem' },
    ),
    timeoutMs: setting(
      'BROKER_NOTIFICATION_TIMEOUT',
      is.duration,
      'How long the webhook may take to answer. It should take a message in and work on it later.',
      { default: '15s' },
    ),
    concurrency: setting(
      'BROKER_NOTIFICATION_CONCURRENCY',
      is.count(1, 100),
      'How many notifications a replica delivers at the same time.',
      { default: '4' },
    ),
    retryForMs: setting(
      'BROKER_NOTIFICATION_RETRY_FOR',
      is.duration,
      'How long a notification is tried that the webhook does not take; after that it is a dead letter.',
      { default: '5d' },
    ),
    secretOverlapMs: setting(
      'BROKER_NOTIFICATION_SECRET_OVERLAP',
      is.duration,
      'How long the former signing secret signs beside a new one.',
      { default: '24h' },
    ),
    testingLeadMs: setting(
      'BROKER_EXPIRING_TESTING_LEAD',
      is.duration,
      'How long before its end the owner of a grant hears of it that Google ends by itself: seven days after the consent where the OAuth client is in testing, or at the time that Google named.',
      { default: '2d' },
    ),
    idleLeadMs: setting(
      'BROKER_EXPIRING_IDLE_LEAD',
      is.duration,
      'The same for a grant that is not used: Google ends it after six months.',
      { default: '30d' },
    ),
    mostGrants: setting(
      'BROKER_EXPIRING_GRANTS',
      is.count(2, 100),
      'From how many live grants of one Google identity with one OAuth client on it is told that the oldest is in danger: Google ends it at the 101st.',
      { default: '90' },
    ),
  }),
  consent: z.object({
    linkTtlMs: setting('BROKER_CONSENT_LINK_TTL', is.duration, 'How long a consent link can be used.', {
      default: '72h',
    }),
  }),
});
