import { sql } from 'kysely';
import type { Store } from '../ports.ts';
import { toChannel, toChannelRow } from './channel-row.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { notifyStepOf } from './notify.ts';
import { recorded } from './recorded.ts';

/** Channels in the table `channels`; its due queue is in `refresh-queue.ts`. */
export function createChannels(
  database: Database,
): Pick<Store['channels'], 'create' | 'find' | 'list' | 'standings' | 'grantsOfAccount' | 'changeState'> {
  return {
    create: (channel, record) =>
      recorded(database, record, async (trx) => {
        await trx.insertInto('channels').values(toChannelRow(channel)).execute();
      }),

    async find(id) {
      const row = await database.run((db) =>
        db.selectFrom('channels').selectAll().where('id', '=', id).executeTakeFirst(),
      );
      return row && toChannel(row);
    },

    async list({ tenant, state, administeredBy: person }) {
      const rows = await database.run((db) => {
        let query = db.selectFrom('channels').selectAll();
        if (tenant !== undefined) query = query.where('tenant', '=', tenant);
        if (state !== undefined) query = query.where('state', '=', state);
        if (person !== undefined) {
          query = query.where((row) =>
            row.or([
              row('owner', '=', person.subject),
              row('tenant', '=', sql<string>`any(${person.tenants})`),
              sql<boolean>`admins && ${person.principals}::text[]`,
            ]),
          );
        }
        return query.orderBy('tenant').orderBy('name').execute();
      });
      return rows.map(toChannel);
    },

    async standings(ids) {
      const rows = await database.run((db) =>
        db
          .selectFrom('channels')
          .select(['id', 'tenant', 'state', 'generation', 'scopes', 'refresh_token_encrypted'])
          .where('id', '=', sql<string>`any(${ids})`)
          .execute(),
      );
      return rows.map(({ refresh_token_encrypted: ciphertext, scopes, ...row }) => ({
        ...row,
        grantedScopes: ciphertext === null ? undefined : (scopes ?? []),
      }));
    },

    async grantsOfAccount({ googleSubject, oauthClient }, consentedAt) {
      const { live, older } = await database.run((db) =>
        db
          .selectFrom('channels')
          .select((row) => [
            row.fn.countAll<string>().as('live'),
            row.fn.countAll<string>().filterWhere('consented_at', '<', consentedAt).as('older'),
          ])
          .where('google_subject', '=', googleSubject)
          .where('oauth_client', '=', oauthClient)
          .where('state', 'in', ['active', 'suspended'])
          .executeTakeFirstOrThrow(),
      );
      return { live: Number(live), older: Number(older) };
    },

    changeState: (change, record) =>
      recorded(database, record, async (trx) => {
        let update = trx
          .updateTable('channels')
          .set({ state: change.to, reason: change.reason, wake_at: null, updated_at: change.at })
          .where('id', '=', change.id)
          .where('state', '=', change.from);
        if (change.fence !== undefined) {
          update = update.set({ claimed_until: null, awaited: false }).where('claim_fence', '=', change.fence);
        }
        const result = await (change.generation === undefined
          ? update.where('refresh_token_encrypted', 'is', null)
          : update.where('generation', '=', change.generation)
        ).executeTakeFirst();
        expectChanged(
          result,
          `channel ${change.id} is no longer ${change.from} in the same generation, or claimed by another`,
        );
        await notifyStepOf(trx, { ...change, channel: change.id });
      }),
  };
}
