import { BrokerError } from '../errors.ts';
import type { Store } from '../ports.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';

/**
 * Puts a rotated refresh token where the one that it replaces is: on the channel, or on a consent whose checks are not
 * finished. A channel that was thought dead because the replaced token was refused lives again.
 */
export function createRotatedTokens(database: Database): Pick<Store['channels'], 'rotateToken'> {
  return {
    rotateToken: (rotated, record) =>
      recorded(database, record, async (trx) => {
        const onChannel = await trx
          .updateTable('channels')
          .set((row) => ({
            refresh_token_encrypted: rotated.refreshTokenEncrypted,
            refresh_token_hash: rotated.refreshTokenHash,
            // The verdict was about the token that this one replaces.
            state: row
              .case()
              .when('state', '=', 'needs_reconsent')
              .then('active' as const)
              .else(row.ref('state'))
              .end(),
            reason: row
              .case()
              .when('state', '=', 'needs_reconsent')
              .then('newer_token_stored' as const)
              .else(row.ref('reason'))
              .end(),
            refresh_due_at: rotated.receivedAt,
            updated_at: rotated.receivedAt,
          }))
          .where('id', '=', rotated.channel)
          .where('generation', '=', rotated.generation)
          .where('refresh_token_hash', '=', rotated.formerTokenHash)
          .executeTakeFirst();
        const onConsent =
          onChannel.numUpdatedRows > 0n
            ? undefined
            : await trx
                .updateTable('consents')
                .set({
                  received_token_encrypted: rotated.refreshTokenEncrypted,
                  received_token_hash: rotated.refreshTokenHash,
                })
                .where('channel', '=', rotated.channel)
                .where('received_generation', '=', rotated.generation)
                .where('received_token_hash', '=', rotated.formerTokenHash)
                .executeTakeFirst();
        if (onConsent?.numUpdatedRows === 0n) {
          throw new BrokerError('STORE_CONFLICT', {
            detail: `the token that was rotated is no longer that of ${rotated.channel}`,
          });
        }
      }),
  };
}
