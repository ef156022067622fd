import type { Insertable, Selectable } from 'kysely';
import type { Consent } from '../domain/consent.ts';
import type { ReceivedGrant } from '../ports.ts';
import type { ConsentsTable } from './schema.ts';

/** What a consent row holds while nothing is received. */
export const nothingReceived = {
  received_generation: null,
  received_token_encrypted: null,
  received_token_hash: null,
  received_token_prefix_hash: null,
  received_token_expires_at: null,
  received_dpop_key_version: null,
  received_scopes: null,
  received_at: null,
} as const;

/** Writes an authorization request as columns of its consent. */
export function toRequestColumns(request: Consent['request']) {
  return {
    state_hash: request?.stateHash ?? null,
    browser_hash: request?.browserHash ?? null,
    code_verifier_encrypted: request?.codeVerifierEncrypted ?? null,
    nonce: request?.nonce ?? null,
    started_at: request?.startedAt ?? null,
    request_expires_at: request?.expiresAt ?? null,
    taken_at: request?.takenAt ?? null,
  };
}

/** Writes a consent as a new row: pending, nothing received. */
export function toConsentRow(consent: Consent): Insertable<ConsentsTable> {
  return {
    id: consent.id,
    tenant: consent.tenant,
    channel: consent.channel,
    oauth_client: consent.oauthClient,
    link_hash: consent.linkHash,
    link_expires_at: consent.linkExpiresAt,
    status: 'pending',
    failure: null,
    failed_at: null,
    completed_at: null,
    created_by: consent.createdBy,
    created_at: consent.createdAt,
    ...toRequestColumns(consent.request),
    ...nothingReceived,
  };
}

/** Reads a row as the domain's consent. */
export function toConsent(row: Selectable<ConsentsTable>): Consent {
  return {
    id: row.id,
    channel: row.channel,
    tenant: row.tenant,
    oauthClient: row.oauth_client,
    linkHash: row.link_hash,
    linkExpiresAt: row.link_expires_at,
    status: row.status,
    failure: row.failure ?? undefined,
    createdBy: row.created_by,
    createdAt: row.created_at,
    request: toRequest(row),
  };
}

/** Reads what was received; undefined where the consent holds nothing. */
export function toReceivedGrant(row: Selectable<ConsentsTable>): ReceivedGrant | undefined {
  // The table's constraints keep these together; the checks are for the compiler.
  if (row.received_generation === null || row.received_token_encrypted === null) return undefined;
  if (row.received_token_hash === null || row.received_scopes === null || row.received_at === null) return undefined;
  return {
    consentId: row.id,
    generation: row.received_generation,
    refreshTokenEncrypted: row.received_token_encrypted,
    refreshTokenHash: row.received_token_hash,
    ...(row.received_token_prefix_hash !== null && { refreshTokenPrefixHash: row.received_token_prefix_hash }),
    ...(row.received_token_expires_at !== null && { refreshTokenExpiresAt: row.received_token_expires_at }),
    dpopKeyVersion: row.received_dpop_key_version ?? undefined,
    scopes: row.received_scopes,
    receivedAt: row.received_at,
  };
}

function toRequest(row: Selectable<ConsentsTable>): Consent['request'] {
  if (row.state_hash === null || row.browser_hash === null || row.nonce === null) return undefined;
  if (row.started_at === null || row.request_expires_at === null) return undefined;
  return {
    stateHash: row.state_hash,
    browserHash: row.browser_hash,
    codeVerifierEncrypted: row.code_verifier_encrypted ?? undefined,
    nonce: row.nonce,
    startedAt: row.started_at,
    expiresAt: row.request_expires_at,
    takenAt: row.taken_at ?? undefined,
  };
}
