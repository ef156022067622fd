/** Turns what the flows answer into what goes over the wire. */
import { installationChain } from '../../domain/audit-chain.ts';
import { type AuditEntry, entryId } from '../../domain/audit-entry.ts';
import type { Person } from '../../domain/caller.ts';
import { principalsOf } from '../../domain/caller.ts';
import type { Channel, Grant } from '../../domain/channel.ts';
import type { IncidentKind } from '../../domain/client-incident.ts';
import type { Consent } from '../../domain/consent.ts';
import type { ConsentLink } from '../../flow/invite-consent.ts';
import type { RotatedSecret } from '../../flow/rotate-client-credentials.ts';
import type { ShownOAuthClient } from '../../flow/show-oauth-client.ts';
import type { AuditPage, StoredOAuthClient, Tenant } from '../../ports.ts';
import type {
  AuditEntryAnswer,
  AuditPageAnswer,
  ChannelAnswer,
  ConsentAnswer,
  ConsentLinkAnswer,
  OAuthClientAnswer,
  RotatedSecretAnswer,
  ShownOAuthClientAnswer,
  TenantAnswer,
  WhoamiAnswer,
} from './schemas.ts';

export function viewTenant(tenant: Tenant): TenantAnswer {
  return {
    name: tenant.name,
    admins: [...tenant.admins],
    created_at: tenant.createdAt.toISOString(),
    state: tenant.state,
  };
}

export function viewOAuthClient(
  client: StoredOAuthClient,
  channels?: number,
  incidents: readonly IncidentKind[] = [],
): OAuthClientAnswer {
  return {
    name: client.name,
    client_id: client.clientId,
    dpop: client.dpop,
    publishing: client.publishing,
    disabled_at: client.disabledAt?.toISOString() ?? null,
    channels: channels ?? null,
    incidents: [...incidents],
    created_at: client.createdAt.toISOString(),
  };
}

export function viewShownOAuthClient({
  client,
  channels,
  secrets,
  incidents,
}: ShownOAuthClient): ShownOAuthClientAnswer {
  return {
    oauth_client: viewOAuthClient(client, channels, incidents),
    secrets: secrets.map(({ version, createdAt }) => ({ version, created_at: createdAt.toISOString() })),
  };
}

export function viewRotatedSecret({ version, accepted }: RotatedSecret): RotatedSecretAnswer {
  return { version, accepted: accepted ?? null };
}

export function viewChannel(channel: Channel): ChannelAnswer {
  return {
    id: channel.id,
    tenant: channel.tenant,
    name: channel.name,
    region: channel.region,
    oauth_client: channel.oauthClient,
    state: channel.state,
    reason: channel.reason,
    degraded: channel.state === 'active' && channel.grant?.lastFailure !== undefined,
    owner: channel.owner,
    admins: [...channel.admins],
    requested_scopes: [...channel.requestedScopes],
    grant: channel.grant ? viewGrant(channel.grant) : null,
    created_at: channel.createdAt.toISOString(),
    updated_at: channel.updatedAt.toISOString(),
  };
}

/** Neither the ciphertext nor anything that tells one refresh token from another. */
function viewGrant(grant: Grant): NonNullable<ChannelAnswer['grant']> {
  return {
    generation: grant.generation,
    scopes: [...grant.scopes],
    youtube_channel_id: grant.youtubeChannelId,
    youtube_title: grant.youtubeTitle,
    consented_at: grant.consentedAt.toISOString(),
    token_expires_at: grant.tokenExpiresAt?.toISOString() ?? null,
    last_refresh_at: grant.lastRefreshAt?.toISOString() ?? null,
    refresh_due_at: grant.refreshDueAt?.toISOString() ?? null,
    refresh_failures: grant.refreshFailures,
    last_failure: grant.lastFailure ?? null,
  };
}

export function viewConsent(consent: Consent): ConsentAnswer {
  return {
    status: consent.status,
    failure: consent.failure ?? null,
    started_at: consent.request?.startedAt.toISOString() ?? null,
    link_expires_at: consent.linkExpiresAt.toISOString(),
    invited_by: consent.createdBy,
    invited_at: consent.createdAt.toISOString(),
  };
}

/** The only place where the secret of a consent link is shown: to the admin who asked for it, once. */
export function viewConsentLink(link: ConsentLink, publicUrl: string): ConsentLinkAnswer {
  return { url: `${publicUrl}/consent/${link.token.reveal()}`, expires_at: link.expiresAt.toISOString() };
}

export function viewAuditPage({ entries, next, head }: AuditPage): AuditPageAnswer {
  return { records: entries.map(viewAuditEntry), next: next ?? null, head };
}

export function viewAuditEntry(entry: AuditEntry): AuditEntryAnswer {
  const { chain, seq, hash, record } = entry;
  return {
    id: entryId(entry),
    chain: chain === installationChain ? null : chain,
    seq,
    at: record.at.toISOString(),
    action: record.action,
    result: record.result,
    caller_kind: record.callerKind,
    caller: record.caller,
    ip: record.ip ?? null,
    request_id: record.requestId,
    tenant: record.tenant ?? null,
    channel: record.channel ?? null,
    facts: Object.fromEntries(
      Object.entries(record.facts).map(([name, fact]) => [name, typeof fact === 'object' ? [...fact] : fact]),
    ),
    hash,
  };
}

export function viewPerson(person: Person): WhoamiAnswer {
  return {
    subject: person.subject,
    name: person.displayName ?? null,
    groups: [...person.groups],
    principals: [...principalsOf(person)],
  };
}
