/** Flows that need nothing behind them: for what the HTTP room and the CLI do with their answers. */
import { emptyChain } from '../../broker/domain/audit-chain.ts';
import type { AuditEntry } from '../../broker/domain/audit-entry.ts';
import type { ExportLine } from '../../broker/domain/audit-export.ts';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import type { Person } from '../../broker/domain/caller.ts';
import type { Channel } from '../../broker/domain/channel.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { ListedReplica } from '../../broker/flow/list-replicas.ts';
import type { TenantKeyStatus } from '../../broker/flow/show-tenant-key.ts';
import type { Flows } from '../../broker/http/flows.ts';
import type { StoredOAuthClient, Tenant } from '../../broker/ports.ts';
import { createFakeIncidents } from './fake-incidents.ts';
import { createFakeNotifications } from './fake-notifications.ts';
import { createFakeRevocations } from './fake-revocations.ts';
import { createFakeShreds } from './fake-shreds.ts';
import { createFakeWorkloads } from './fake-workloads.ts';

export const at = new Date('2026-03-01T12:00:00Z');
export const linkToken = 'link-0123456789012345678901234567890123456789';
export const state = 'state-0123456789012345678901234567890123456789';
export const browserSecret = 'browser-01234567890123456789012345678901234567';
export const ciphertext = 'vault:v1:canary-ciphertext';

/** A channel with a consent behind it. */
export const activeChannel: Channel = {
  id: 'ch_0123456789abcdefghjkmnpqrs',
  tenant: 'acme',
  name: 'north-studio',
  region: 'default',
  oauthClient: 'uploads',
  state: 'active',
  reason: 'consented',
  owner: 'alice',
  admins: ['group:studio'],
  requestedScopes: ['https://www.googleapis.com/auth/youtube.upload', 'openid'],
  grant: {
    generation: 1,
    refreshTokenEncrypted: ciphertext,
    refreshTokenHash: 'canary-hash',
    dpopKeyVersion: 1,
    scopes: ['https://www.googleapis.com/auth/youtube.upload', 'openid'],
    googleSubject: 'canary-google-subject',
    youtubeChannelId: 'UC123',
    youtubeTitle: 'North Studio',
    consentedAt: at,
    accessTokenCacheKey: 'canary-cache-key',
    tokenExpiresAt: new Date('2026-03-01T13:00:00Z'),
    lastRefreshAt: at,
    refreshDueAt: new Date('2026-03-01T12:30:00Z'),
    refreshFailures: 0,
    lastFailure: undefined,
  },
  createdAt: at,
  updatedAt: at,
};

const shown: AuditRecord = {
  at,
  action: 'channel.show',
  result: 'ok',
  callerKind: 'person',
  caller: 'alice',
  ip: '192.0.2.7',
  requestId: 'req-1',
  tenant: 'acme',
  channel: activeChannel.id,
  facts: {},
};
const refused: AuditRecord = {
  ...shown,
  at: new Date('2026-03-01T12:00:07.500Z'),
  action: 'token.release',
  result: 'ACCESS_DENIED',
  callerKind: 'workload',
  caller: 'spiffe://token-broker.internal/workload/uploader',
  facts: { detail: 'workload has no access', reason: 'weekly = show | 1' },
};

/** One that is alive, one that was killed, and one that was stopped. */
const replicas: readonly ListedReplica[] = [
  {
    id: 'host-1-0a1b2c3d4e5f',
    state: 'alive',
    regions: undefined,
    version: '1.2.3',
    startedAt: at,
    seenAt: new Date('2026-03-01T12:30:00Z'),
    silentMs: 4_200,
    stoppedAt: undefined,
  },
  {
    id: 'host-2-1b2c3d4e5f6a',
    state: 'silent',
    regions: ['eu', 'us'],
    version: '1.2.3',
    startedAt: at,
    seenAt: new Date('2026-03-01T12:20:04Z'),
    silentMs: 600_200,
    stoppedAt: undefined,
  },
  {
    id: 'host-3-2c3d4e5f6a7b',
    state: 'stopped',
    regions: ['eu'],
    version: '1.2.2',
    startedAt: new Date('2026-02-01T12:00:00Z'),
    seenAt: new Date('2026-03-01T11:59:58Z'),
    silentMs: 1_806_200,
    stoppedAt: new Date('2026-03-01T12:00:00Z'),
  },
];

/** Newest first. */
const auditEntries: readonly AuditEntry[] = [
  { chain: 'acme', seq: 2, hash: 'cd'.repeat(32), record: refused },
  { chain: 'acme', seq: 1, hash: 'ab'.repeat(32), record: shown },
];

/** A chain without a record, as it is exported. */
async function* exportedLines(): AsyncGenerator<ExportLine> {
  const head = emptyChain('');
  yield { type: 'header', chain: '', exportedAt: at };
  yield { type: 'end', head };
}

/** A key that was rotated: of the tenant `moved` all rows are rewrapped, of any other not yet. */
export function keyStatus(tenant: string): TenantKeyStatus {
  const old = tenant === 'moved' ? 0 : 3;
  return {
    tenant,
    fault: undefined,
    newestVersion: 2,
    minVersion: 1,
    versions: [
      { version: 1, createdAt: at, rows: old },
      { version: 2, createdAt: at, rows: 10 - old },
    ],
    rows: 10,
    rowsToRewrap: old,
    rewrapping: old > 0,
    rowsPerSecond: 1_000,
    rewrapFailed: [],
    rewrappedAt: old > 0 ? undefined : at,
    safeMinVersion: old > 0 ? undefined : 2,
    rotateEveryMs: undefined,
    nextRotation: undefined,
    nextRaise: undefined,
  };
}

export interface FakeFlows extends Flows {
  /** Who was refused for a bad identity. */
  readonly denied: Parameters<Flows['recordDeniedIdentity']>[0][];
  /** The client secrets that were handed over. */
  readonly clientSecrets: Secret<string>[];
}

/** Keeps what it is told in memory; single flows can be replaced. */
export function createFakeFlows(authorizationUrl: string, replaced: Partial<Flows> = {}): FakeFlows {
  const tenants: Tenant[] = [];
  const clients: StoredOAuthClient[] = [];
  const channels = new Map<string, Channel>();
  const { rules, ...workloads } = createFakeWorkloads(at);
  const denied: FakeFlows['denied'] = [];
  const clientSecrets: Secret<string>[] = [];
  const consentLink = { token: new Secret(linkToken), expiresAt: new Date('2026-03-04T12:00:00Z') };

  function channelOf(id: string): Channel {
    const channel = channels.get(id);
    if (!channel) throw new BrokerError('CHANNEL_NOT_FOUND');
    return channel;
  }

  function clientOf(name: string): StoredOAuthClient {
    const client = clients.find((one) => one.name === name);
    if (client) return client;
    if (name !== 'studio') throw new BrokerError('OAUTH_CLIENT_NOT_FOUND');
    return { name, clientId: 'id.example', dpop: true, publishing: 'production', createdAt: at };
  }

  function operator(caller: Person): void {
    if (!caller.groups.includes('operators')) throw new BrokerError('ACCESS_DENIED', { detail: 'not an operator' });
  }

  return {
    denied,
    clientSecrets,
    createTenant: async (caller, { name, admins }) => {
      operator(caller);
      if (tenants.some((tenant) => tenant.name === name)) throw new BrokerError('ALREADY_EXISTS');
      const tenant = {
        name,
        admins: admins.length > 0 ? admins : [`user:${caller.subject}`],
        createdAt: at,
        state: 'active' as const,
      };
      tenants.push(tenant);
      return tenant;
    },
    listTenants: async () => tenants,
    showTenantKey: async (_caller, { tenant }) => keyStatus(tenant),
    changeTenantKey: {
      rotate: async (caller, { tenant }) => {
        operator(caller);
        return keyStatus(tenant);
      },
      raiseMinVersion: async (caller, { tenant }) => {
        operator(caller);
        const problems = ['3 rows need a version before 2'];
        if (tenant !== 'moved') throw new BrokerError('KEY_VERSION_IN_USE', { problems });
        return { ...keyStatus(tenant), minVersion: 2, safeMinVersion: undefined };
      },
      schedule: async (caller, { tenant, everyMs }) => {
        operator(caller);
        return { ...keyStatus(tenant), rotateEveryMs: everyMs, nextRotation: everyMs ? at : undefined };
      },
    },
    shredTenant: createFakeShreds([activeChannel], 1),
    addOAuthClient: async (caller, { name, clientId, clientSecret, dpop, publishing }) => {
      operator(caller);
      clientSecrets.push(clientSecret);
      const client = { name, clientId, dpop, publishing, createdAt: at };
      clients.push(client);
      return client;
    },
    listOAuthClients: async () => clients,
    showOAuthClient: async (caller, { name }) => {
      operator(caller);
      return { client: clientOf(name), channels: 2, secrets: [{ version: 1, createdAt: at }], incidents: [] };
    },
    enableOAuthClient: async (caller, { name, enabled }) => {
      operator(caller);
      return { ...clientOf(name), disabledAt: enabled ? undefined : at };
    },
    setDpop: async (caller, { name, dpop }) => {
      operator(caller);
      return { ...clientOf(name), dpop };
    },
    receiveSecurityEvent: async () => ({ result: 'taken' }),
    setPublishing: async (caller, { name, publishing }) => {
      operator(caller);
      return { ...clientOf(name), publishing };
    },
    rotateClientSecret: async (caller, { name, clientSecret }) => {
      operator(caller);
      clientOf(name);
      clientSecrets.push(clientSecret);
      return { version: 2, accepted: false };
    },
    retireClientSecrets: async (caller, { name, force }) => {
      operator(caller);
      clientOf(name);
      if (!force) throw new BrokerError('OAUTH_CLIENT_REJECTED', { problems: ['version 2 stays'] });
      return { version: 2, accepted: false };
    },
    rotateDpopKey: async (caller, { name }) => {
      operator(caller);
      clientOf(name);
      return { version: 2 };
    },
    oauthClientIncidents: createFakeIncidents(activeChannel),
    addChannel: async (caller, input) => {
      const channel: Channel = {
        ...activeChannel,
        id: `ch_${String(channels.size + 1).padStart(26, '0')}`,
        tenant: input.tenant,
        name: input.name,
        oauthClient: input.oauthClient,
        region: input.region ?? 'default',
        owner: input.owner ?? caller.subject,
        admins: input.admins ?? [],
        requestedScopes: input.scopes ?? activeChannel.requestedScopes,
        state: 'pending_consent',
        reason: 'created',
        grant: undefined,
      };
      channels.set(channel.id, channel);
      return { channel, consentLink };
    },
    listChannels: async (_caller, { tenant, state: wanted }) =>
      [activeChannel, ...channels.values()].filter(
        (channel) => (!tenant || channel.tenant === tenant) && (!wanted || channel.state === wanted),
      ),
    showChannel: async (_caller, { channel }) => ({
      channel: channel === activeChannel.id ? activeChannel : channelOf(channel),
      consent: undefined,
      workloads: rules.filter((access) => access.channel === channel),
    }),
    inviteConsent: async (_caller, { channel }) => {
      if (channel !== activeChannel.id) channelOf(channel);
      return consentLink;
    },
    ...workloads,
    ...createFakeRevocations(activeChannel, consentLink),
    audit: {
      list: async (_caller, { chain, limit, before = 3 }) => {
        const there = chain === 'acme' ? auditEntries.filter(({ seq }) => seq < before) : [];
        const entries = there.slice(0, limit);
        return { entries, next: entries.length < there.length ? entries.at(-1)?.seq : undefined, head: 2 };
      },
      exported: async () => exportedLines(),
      follow: async () => ({ entries: auditEntries, next: 2, head: 2 }),
      stop: () => {},
    },
    manageNotifications: createFakeNotifications(clientSecrets),
    listReplicas: async (caller) => {
      operator(caller);
      return replicas;
    },
    acceptRestore: async (_caller, { chain }) => ({ chain, seq: 3, hash: Buffer.alloc(32) }),
    recordLogin: async () => {},
    recordDeniedIdentity: async (refused) => {
      denied.push(refused);
    },
    viewConsent: async (_caller, { link }) => {
      if (link.reveal() !== linkToken) throw new BrokerError('INVALID_CONSENT_LINK', { detail: 'unknown link' });
      return {
        tenant: 'acme',
        channelName: 'north-studio',
        scopes: [...activeChannel.requestedScopes, 'https://www.googleapis.com/auth/youtube.readonly', 'email'],
        youtubeTitle: undefined,
      };
    },
    beginConsent: async () => ({
      authorizationUrl: `${authorizationUrl}?state=${state}`,
      browserSecret: new Secret(browserSecret),
      expiresAt: new Date('2026-03-01T12:10:00Z'),
    }),
    completeConsent: async (_caller, { browserSecret: given }) => {
      if (given?.reveal() !== browserSecret) throw new BrokerError('INVALID_AUTHORIZATION_RESPONSE');
      return { kind: 'completed', tenant: 'acme', channelName: 'north-studio', youtubeTitle: 'North Studio' };
    },
    ...replaced,
  };
}
