import type { Transaction } from 'kysely';
import { reasonsProven } from '../domain/grant-end.ts';
import { BrokerError } from '../errors.ts';
import type { Store, StoredRotation } from '../ports.ts';
import type { Database } from './database.ts';
import { notifyStepOf } from './notify.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

/**
 * Puts a rotated refresh token where the one that it replaces is: on the channel, or on a consent whose checks are not
 * finished. A channel that was thought dead because the replaced token was refused lives again.
 */
export function createRotatedTokens(database: Database): Pick<Store['channels'], 'rotateToken'> {
  return {
    rotateToken: (rotated, record) =>
      recorded(database, record, async (trx) => {
        if ((await onChannel(trx, rotated)) || (await onConsent(trx, rotated))) return;
        const detail = `the token that was rotated is no longer that of ${rotated.channel}`;
        throw new BrokerError('STORE_CONFLICT', { detail });
      }),
  };
}

async function onChannel(trx: Transaction<Schema>, rotated: StoredRotation): Promise<boolean> {
  const held = await trx
    .selectFrom('channels')
    .select(['state', 'reason'])
    .where('id', '=', rotated.channel)
    .where('generation', '=', rotated.generation)
    .where('refresh_token_hash', '=', rotated.formerTokenHash)
    .forUpdate()
    .executeTakeFirst();
  if (!held) return false;
  // The verdict was about the token that this one replaces, unless a proof gave it.
  const revives = held.state === 'needs_reconsent' && !reasonsProven.includes(held.reason);
  const now = revives ? ({ state: 'active', reason: 'newer_token_stored' } as const) : held;
  await trx
    .updateTable('channels')
    .set({
      refresh_token_encrypted: rotated.refreshTokenEncrypted,
      refresh_token_hash: rotated.refreshTokenHash,
      refresh_token_prefix_hash: rotated.refreshTokenPrefixHash ?? null,
      refresh_token_expires_at: rotated.refreshTokenExpiresAt ?? null,
      state: now.state,
      reason: now.reason,
      refresh_due_at: rotated.receivedAt,
      updated_at: rotated.receivedAt,
    })
    .where('id', '=', rotated.channel)
    .execute();
  const { channel, receivedAt: at } = rotated;
  await notifyStepOf(trx, { channel, from: held.state, to: now.state, reason: now.reason, at });
  await revokeAnew(trx, rotated);
  return true;
}

/**
 * Where the channel was revoked while its token was rotated, Google takes back this one, whatever it answered for the former.
 * The attempt that may be under way with the former is not the newest any more.
 */
async function revokeAnew(
  trx: Transaction<Schema>,
  { channel, generation, receivedAt }: StoredRotation,
): Promise<void> {
  await trx
    .updateTable('channel_revocations')
    .set((row) => ({
      outcome: null,
      attempts: row('attempts', '+', 1),
      claimed_until: null,
      due_at: receivedAt,
      prove_at: null,
    }))
    .where('channel', '=', channel)
    .where('generation', '=', generation)
    .execute();
}

async function onConsent(trx: Transaction<Schema>, rotated: StoredRotation): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('consents')
    .set({
      received_token_encrypted: rotated.refreshTokenEncrypted,
      received_token_hash: rotated.refreshTokenHash,
      received_token_prefix_hash: rotated.refreshTokenPrefixHash ?? null,
      received_token_expires_at: rotated.refreshTokenExpiresAt ?? null,
    })
    .where('channel', '=', rotated.channel)
    .where('received_generation', '=', rotated.generation)
    .where('received_token_hash', '=', rotated.formerTokenHash)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
