import type { Insertable, Selectable } from 'kysely';
import type { Channel, Grant } from '../domain/channel.ts';
import type { ChannelsTable } from './schema.ts';

/** Reads a row as the domain's channel. */
export function toChannel(row: Selectable<ChannelsTable>): Channel {
  const grant = toGrant(row);
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    region: row.region,
    oauthClient: row.oauth_client,
    state: row.state,
    reason: row.reason,
    owner: row.owner,
    admins: row.admins,
    requestedScopes: row.requested_scopes,
    grant,
    ...(!grant && row.generation > 0 && { formerGeneration: row.generation }),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Writes a channel as a new row; nobody has claimed it. */
export function toChannelRow(channel: Channel): Insertable<ChannelsTable> {
  const { grant } = channel;
  return {
    id: channel.id,
    tenant: channel.tenant,
    name: channel.name,
    region: channel.region,
    oauth_client: channel.oauthClient,
    state: channel.state,
    reason: channel.reason,
    owner: channel.owner,
    admins: channel.admins,
    requested_scopes: channel.requestedScopes,
    generation: grant?.generation ?? channel.formerGeneration ?? 0,
    refresh_token_encrypted: grant?.refreshTokenEncrypted ?? null,
    refresh_token_hash: grant?.refreshTokenHash ?? null,
    refresh_token_prefix_hash: grant?.refreshTokenPrefixHash ?? null,
    refresh_token_expires_at: grant?.refreshTokenExpiresAt ?? null,
    security_event: grant?.securityEvent?.type ?? null,
    security_event_at: grant?.securityEvent?.at ?? null,
    dpop_key_version: grant?.dpopKeyVersion ?? null,
    scopes: grant?.scopes ?? null,
    consented_at: grant?.consentedAt ?? null,
    google_subject: grant?.googleSubject ?? null,
    youtube_channel_id: grant?.youtubeChannelId ?? null,
    youtube_title: grant?.youtubeTitle ?? null,
    access_token_cache_key: grant?.accessTokenCacheKey ?? null,
    token_expiry: grant?.tokenExpiresAt ?? null,
    last_refresh: grant?.lastRefreshAt ?? null,
    refresh_due_at: grant?.refreshDueAt ?? null,
    refresh_failures: grant?.refreshFailures ?? 0,
    last_failure: grant?.lastFailure ?? null,
    created_at: channel.createdAt,
    updated_at: channel.updatedAt,
  };
}

function toGrant(row: Selectable<ChannelsTable>): Grant | undefined {
  // The table's constraints keep these together; the checks are for the compiler.
  if (row.refresh_token_encrypted === null || row.refresh_token_hash === null) return undefined;
  if (row.scopes === null || row.consented_at === null) return undefined;
  if (row.google_subject === null || row.youtube_channel_id === null || row.youtube_title === null) return undefined;
  return {
    generation: row.generation,
    refreshTokenEncrypted: row.refresh_token_encrypted,
    refreshTokenHash: row.refresh_token_hash,
    ...(row.refresh_token_prefix_hash !== null && { refreshTokenPrefixHash: row.refresh_token_prefix_hash }),
    ...(row.refresh_token_expires_at !== null && { refreshTokenExpiresAt: row.refresh_token_expires_at }),
    ...(row.security_event !== null &&
      row.security_event_at !== null && { securityEvent: { type: row.security_event, at: row.security_event_at } }),
    dpopKeyVersion: row.dpop_key_version ?? undefined,
    scopes: row.scopes,
    googleSubject: row.google_subject,
    youtubeChannelId: row.youtube_channel_id,
    youtubeTitle: row.youtube_title,
    consentedAt: row.consented_at,
    accessTokenCacheKey: row.access_token_cache_key ?? undefined,
    tokenExpiresAt: row.token_expiry ?? undefined,
    lastRefreshAt: row.last_refresh ?? undefined,
    refreshDueAt: row.refresh_due_at ?? undefined,
    refreshFailures: row.refresh_failures,
    lastFailure: row.last_failure ?? undefined,
  };
}
