import type { AuditAction, AuditRecord } from '../../broker/domain/audit-record.ts';
import type { Channel, Grant } from '../../broker/domain/channel.ts';
import type { Consent } from '../../broker/domain/consent.ts';
import type { Shred } from '../../broker/domain/shred.ts';
import type { FirstToken, Lease, QueuePart, ReceivedGrant, RefreshSuccess, Store } from '../../broker/ports.ts';

/** The instant that the fixtures count from. */
export const start = new Date('2026-03-01T12:00:00Z');

/** The instant so many minutes after `start`. */
export function minute(minutes: number): Date {
  return new Date(start.getTime() + minutes * 60_000);
}

/** A claim from minute to minute, of a replica called `test`. */
export function lease(from: number, until: number): Lease {
  return { now: minute(from), until: minute(until), owner: 'test' };
}

/** The whole due queue at that minute. */
export function queueAt(minutes: number): QueuePart {
  return { now: minute(minutes), regions: undefined, exceptClients: [] };
}

let requests = 0;

/** A record with a request id of its own: two that are the same in everything are one act to the store. */
export function aRecord(action: AuditAction, given: Partial<AuditRecord> = {}): AuditRecord {
  return {
    at: start,
    action,
    result: 'ok',
    callerKind: 'person',
    caller: 'alice',
    ip: '192.0.2.7',
    requestId: `req-${++requests}`,
    tenant: 'acme',
    channel: undefined,
    facts: {},
    ...given,
  };
}

export function aChannel(given: Partial<Channel> = {}): Channel {
  return {
    id: 'ch_1',
    tenant: 'acme',
    name: 'cooking',
    region: 'eu',
    oauthClient: 'uploads',
    state: 'pending_consent',
    reason: 'created',
    owner: 'alice',
    admins: ['group:video'],
    requestedScopes: ['youtube.upload', 'openid'],
    grant: undefined,
    createdAt: start,
    updatedAt: start,
    ...given,
  };
}

export function aGrant(given: Partial<Grant> = {}): Grant {
  return {
    generation: 1,
    refreshTokenEncrypted: 'vault:v1:first',
    refreshTokenHash: 'hash-first',
    dpopKeyVersion: 3,
    scopes: ['youtube.upload'],
    googleSubject: 'google-1',
    youtubeChannelId: 'UC-1',
    youtubeTitle: 'Cooking with Alice',
    consentedAt: start,
    accessTokenCacheKey: undefined,
    tokenExpiresAt: undefined,
    lastRefreshAt: undefined,
    refreshDueAt: minute(30),
    refreshFailures: 0,
    lastFailure: undefined,
    ...given,
  };
}

export function anActiveChannel(given: Partial<Channel> = {}, grant: Partial<Grant> = {}): Channel {
  return aChannel({ state: 'active', reason: 'consented', grant: aGrant(grant), ...given });
}

export function aConsent(given: Partial<Consent> = {}): Consent {
  return {
    id: 'co_1',
    channel: 'ch_1',
    tenant: 'acme',
    oauthClient: 'uploads',
    linkHash: 'link-1',
    linkExpiresAt: minute(600),
    status: 'pending',
    failure: undefined,
    createdBy: 'alice',
    createdAt: start,
    request: undefined,
    ...given,
  };
}

export function aRequest(given: Partial<NonNullable<Consent['request']>> = {}): NonNullable<Consent['request']> {
  return {
    stateHash: 'state-1',
    browserHash: 'browser-1',
    codeVerifierEncrypted: 'vault:v1:verifier',
    nonce: 'nonce-1',
    startedAt: start,
    expiresAt: minute(10),
    takenAt: undefined,
    ...given,
  };
}

export function aReceivedGrant(given: Partial<ReceivedGrant> = {}): ReceivedGrant {
  return {
    consentId: 'co_1',
    generation: 1,
    refreshTokenEncrypted: 'vault:v1:received',
    refreshTokenHash: 'hash-received',
    dpopKeyVersion: 2,
    scopes: ['youtube.upload', 'youtube.readonly'],
    receivedAt: minute(1),
    ...given,
  };
}

export const anIdentity = { googleSubject: 'google-1', youtubeChannelId: 'UC-1', youtubeTitle: 'Cooking with Alice' };

export function aFirstToken(given: Partial<FirstToken> = {}): FirstToken {
  return {
    accessTokenCacheKey: 'token:ch_1:1',
    tokenExpiresAt: minute(61),
    refreshedAt: minute(1),
    refreshDueAt: minute(31),
    ...given,
  };
}

export function aRefresh(given: Partial<RefreshSuccess> = {}): RefreshSuccess {
  return {
    accessTokenCacheKey: 'token:ch_1:1',
    tokenExpiresAt: minute(90),
    refreshedAt: minute(30),
    refreshDueAt: minute(60),
    rotated: undefined,
    ...given,
  };
}

/** Stores the tenant and the OAuth client that the fixtures belong to, then the channels. */
export async function fill(store: Store, ...channels: readonly Channel[]): Promise<void> {
  await store.tenants.create({ name: 'acme', admins: ['group:video'], createdAt: start }, aRecord('tenant.create'));
  const client = {
    name: 'uploads',
    clientId: 'id.apps.example',
    dpop: true,
    publishing: 'production',
    createdAt: start,
  } as const;
  await store.oauthClients.create(client, aRecord('oauth-client.add'));
  for (const channel of channels) await store.channels.create(channel, aRecord('channel.add', { channel: channel.id }));
}

/** What was done to a channel, oldest first. */
export async function actsOn(store: Store, channel: string): Promise<readonly string[]> {
  const records = await store.audit.list({ channel, limit: 100 });
  return records.map((record) => record.action).toReversed();
}

/** A request that needs no second person, as of `start`. */
export function aShred(given: Partial<Shred> = {}): Shred {
  const nobodyYet = { approvedBy: undefined, approvedAt: undefined, startedBy: undefined, startedAt: undefined };
  return {
    id: 'sh_1',
    tenant: 'acme',
    state: 'approved',
    reason: 'contract ended',
    approvalsNeeded: 0,
    withoutRevocation: false,
    requestedBy: 'alice',
    requestedAt: start,
    expiresAt: minute(60),
    endedAt: undefined,
    controlCiphertext: undefined,
    proof: undefined,
    ...nobodyYet,
    ...given,
  };
}

/** How that one is started, at `start`. */
export const aShredStart = {
  ...{ id: 'sh_1', tenant: 'acme', by: 'alice', at: start },
  ...{ controlCiphertext: 'vault:v1:control', withoutRevocation: false },
};
