/**
 * The revocation of channels, up to the moment when it stands in the database; Google is told by `pending-revocations.ts`.
 */
import type { Transaction } from 'kysely';
import { grantNames, planDigest } from '../domain/revocation.ts';
import { BrokerError } from '../errors.ts';
import type { Revocations } from '../ports.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';
import { siblings } from './siblings.ts';

type Begin = Parameters<Revocations['begin']>[0];

export function createRevocations(
  database: Database,
): Pick<Revocations, 'siblings' | 'begin' | 'find' | 'putLink' | 'findLink'> {
  return {
    siblings: (channel) =>
      database.run((db) =>
        siblings(db)
          .select([
            'other.id',
            'other.tenant',
            'other.name',
            'other.state',
            'other.owner',
            'other.admins',
            'other.generation',
          ])
          .where('own.id', '=', channel)
          .orderBy('other.id')
          .execute(),
      ),

    begin: (request, record) => recorded(database, record, (trx) => begin(trx, request)),

    async find(channel) {
      const row = await database.run((db) =>
        db.selectFrom('channel_revocations').selectAll().where('channel', '=', channel).executeTakeFirst(),
      );
      return (
        row && {
          channel: row.channel,
          generation: row.generation,
          requestedAt: row.requested_at,
          outcome: row.outcome ?? undefined,
          answeredAt: row.answered_at ?? undefined,
          attempts: row.attempts,
          dueAt: row.due_at,
        }
      );
    },

    putLink: (link, record) =>
      recorded(database, record, async (trx) => {
        const made = {
          link_hash: link.linkHash,
          created_by: link.createdBy,
          created_at: link.createdAt,
          expires_at: link.expiresAt,
        };
        await trx
          .insertInto('revoke_links')
          .values({ channel: link.channel, tenant: link.tenant, ...made })
          .onConflict((conflict) => conflict.column('channel').doUpdateSet(made))
          .execute();
      }),

    async findLink(linkHash) {
      const row = await database.run((db) =>
        db.selectFrom('revoke_links').selectAll().where('link_hash', '=', linkHash).executeTakeFirst(),
      );
      return (
        row && {
          channel: row.channel,
          tenant: row.tenant,
          linkHash: row.link_hash,
          createdBy: row.created_by,
          createdAt: row.created_at,
          expiresAt: row.expires_at,
        }
      );
    },
  };
}

async function begin(trx: Transaction<Schema>, { channel, digest, reason, linkHash, at }: Begin): Promise<void> {
  const row = await trx
    .selectFrom('channels')
    .select(['tenant', 'state', 'generation', 'refresh_token_encrypted'])
    .where('id', '=', channel)
    .forUpdate()
    .executeTakeFirstOrThrow();
  if (row.state === 'revoked') throw new BrokerError('CHANNEL_REVOKED', { detail: `channel ${channel}` });
  if (linkHash !== undefined) await useLink(trx, channel, linkHash, at);

  const hasGrant = row.refresh_token_encrypted !== null;
  const generation = hasGrant ? row.generation : 0;
  const ending = await siblings(trx).select(['other.id', 'other.generation']).where('own.id', '=', channel).execute();
  if (planDigest({ channel, state: row.state, generation, siblings: ending }) !== digest) {
    throw new BrokerError('REVOCATION_PLAN_CHANGED', { detail: `channel ${channel}` });
  }
  // The fence rises: a refresh that is under way writes nothing and caches nothing.
  await trx
    .updateTable('channels')
    .set((change) => ({
      state: 'revoked',
      reason,
      claim_fence: change('claim_fence', '+', 1),
      claimed_until: null,
      access_token_cache_key: null,
      updated_at: at,
    }))
    .where('id', '=', channel)
    .execute();
  if (!hasGrant) return;
  await trx
    .insertInto('channel_revocations')
    .values({
      channel,
      tenant: row.tenant,
      generation,
      accepted: grantNames(ending),
      requested_at: at,
      outcome: null,
      answered_at: null,
      due_at: at,
    })
    .execute();
}

async function useLink(trx: Transaction<Schema>, channel: string, linkHash: string, at: Date): Promise<void> {
  const used = await trx
    .deleteFrom('revoke_links')
    .where('channel', '=', channel)
    .where('link_hash', '=', linkHash)
    .where('expires_at', '>', at)
    .executeTakeFirst();
  if (used.numDeletedRows === 0n) throw new BrokerError('INVALID_REVOKE_LINK', { detail: 'used or lapsed' });
}
