/**
 * From a received refresh token to a channel's grant. The ciphertext is stored on the consent first (`receive`), before
 * its checks; then it moves into the channel (`activate`) or is deleted (`reject`). A broker that dies in between leaves
 * it to be found (`unfinished`).
 */
import type { Transaction, Updateable } from 'kysely';
import { acceptsConsent } from '../domain/channel.ts';
import { BrokerError } from '../errors.ts';
import type { ReceivedGrant, Store } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import { nothingReceived, toConsent, toReceivedGrant } from './consent-row.ts';
import type { Database } from './database.ts';
import { notifyStep } from './notify.ts';
import { recorded } from './recorded.ts';
import type { ConsentsTable, Schema } from './schema.ts';

/** The part of the store that received grants pass through. */
export function createReceivedGrants(
  database: Database,
): Pick<Store['consents'], 'receive' | 'unfinished' | 'activate' | 'reject'> {
  return {
    receive: (received, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('consents')
          .set({
            status: 'received',
            received_generation: received.generation,
            received_token_encrypted: received.refreshTokenEncrypted,
            received_token_hash: received.refreshTokenHash,
            received_token_prefix_hash: received.refreshTokenPrefixHash ?? null,
            received_token_expires_at: received.refreshTokenExpiresAt ?? null,
            received_dpop_key_version: received.dpopKeyVersion ?? null,
            received_scopes: received.scopes,
            received_at: received.receivedAt,
          })
          .where('id', '=', received.consentId)
          .where('status', '=', 'pending')
          .executeTakeFirst();
        expectChanged(result, `consent ${received.consentId} is not pending`);
      }),

    async unfinished(before, limit) {
      const rows = await database.run((db) =>
        db
          .selectFrom('consents')
          .innerJoin('channels', 'channels.id', 'consents.channel')
          .innerJoin('oauth_clients', 'oauth_clients.name', 'consents.oauth_client')
          .selectAll('consents')
          .where('status', '=', 'received')
          .where('received_at', '<', before)
          // These cannot be finished now: however many there are, they hold back no other.
          .where('channels.state', '<>', 'suspended')
          .where('oauth_clients.disabled_at', 'is', null)
          .orderBy('received_at')
          .limit(limit)
          .execute(),
      );
      return rows.flatMap((row) => {
        const received = toReceivedGrant(row);
        return received ? [{ consent: toConsent(row), received }] : [];
      });
    },

    activate: (received, pinned, at, token, record) =>
      recorded(database, record, async (trx) => {
        const { channel, held } = await lockReceived(trx, received);
        const present = await trx
          .selectFrom('channels')
          .select(['state', 'generation', 'google_subject', 'youtube_channel_id', 'tenant', 'oauth_client'])
          .where('id', '=', channel)
          .forUpdate()
          .executeTakeFirstOrThrow();
        if (!acceptsConsent(present)) throw conflict(`channel ${channel} is ${present.state}`);
        if (held.generation !== present.generation + 1) {
          throw conflict(`channel ${channel} is in generation ${present.generation}`);
        }
        if (isOther(present.google_subject, pinned.googleSubject)) {
          throw conflict(`channel ${channel} is pinned to another account`);
        }
        if (isOther(present.youtube_channel_id, pinned.youtubeChannelId)) {
          throw conflict(`channel ${channel} is pinned to another youtube channel`);
        }
        await trx
          .updateTable('channels')
          .set({
            state: 'active',
            reason: 'consented',
            generation: held.generation,
            refresh_token_encrypted: held.refreshTokenEncrypted,
            refresh_token_hash: held.refreshTokenHash,
            refresh_token_prefix_hash: held.refreshTokenPrefixHash ?? null,
            refresh_token_expires_at: held.refreshTokenExpiresAt ?? null,
            security_event: null,
            security_event_at: null,
            dpop_key_version: held.dpopKeyVersion ?? null,
            scopes: held.scopes,
            consented_at: at,
            google_subject: pinned.googleSubject,
            youtube_channel_id: pinned.youtubeChannelId,
            youtube_title: pinned.youtubeTitle,
            access_token_cache_key: token.accessTokenCacheKey,
            token_expiry: token.tokenExpiresAt,
            last_refresh: token.refreshedAt,
            refresh_due_at: token.refreshDueAt,
            proof_due_at: token.proofDueAt ?? null,
            wake_at: null,
            last_used_at: at,
            refresh_failures: 0,
            last_failure: null,
            claimed_until: null,
            awaited: false,
            updated_at: at,
          })
          .where('id', '=', channel)
          .execute();
        await endReceived(trx, received, { status: 'completed', completed_at: at });
        await notifyStep(trx, {
          channel,
          tenant: present.tenant,
          oauthClient: present.oauth_client,
          generation: held.generation,
          from: present.state,
          to: 'active',
          reason: 'consented',
          at,
        });
      }),

    reject: (received, failure, at, record) =>
      recorded(database, record, async (trx) => {
        await lockReceived(trx, received);
        await endReceived(trx, received, { status: 'pending', failure, failed_at: at });
      }),
  };
}

/** Reads what the consent holds, where that is still the grant received, and keeps others from ending it. */
async function lockReceived(trx: Transaction<Schema>, received: ReceivedGrant) {
  const row = await holding(trx, received).selectAll().forUpdate().executeTakeFirst();
  const held = row && toReceivedGrant(row);
  if (!row || !held) throw conflict(`consent ${received.consentId} does not hold this grant`);
  return { channel: row.channel, held };
}

function endReceived(
  trx: Transaction<Schema>,
  { consentId }: ReceivedGrant,
  outcome: Pick<Updateable<ConsentsTable>, 'status' | 'completed_at' | 'failure' | 'failed_at'>,
) {
  return trx
    .updateTable('consents')
    .set({ ...nothingReceived, ...outcome })
    .where('id', '=', consentId)
    .execute();
}

/** The consent, where it holds this very refresh token. */
function holding(trx: Transaction<Schema>, { consentId, refreshTokenHash }: ReceivedGrant) {
  return trx
    .selectFrom('consents')
    .where('id', '=', consentId)
    .where('status', '=', 'received')
    .where('received_token_hash', '=', refreshTokenHash);
}

function isOther(pinned: string | null, found: string): boolean {
  return pinned !== null && pinned !== found;
}

function conflict(detail: string): BrokerError {
  return new BrokerError('STORE_CONFLICT', { detail });
}
