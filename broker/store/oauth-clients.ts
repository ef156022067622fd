import type { Kysely } from 'kysely';
import type { Store, StoredOAuthClient } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

/** OAuth clients in the table `oauth_clients`; their secrets are in Vault. */
export function createOAuthClients(database: Database): Store['oauthClients'] {
  return {
    create: (client, record) =>
      recorded(database, record, async (trx) => {
        await trx
          .insertInto('oauth_clients')
          .values({
            name: client.name,
            client_id: client.clientId,
            dpop: client.dpop,
            publishing: client.publishing,
            created_at: client.createdAt,
          })
          .execute();
      }),

    change: (name, change, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('oauth_clients')
          .set('disabledAt' in change ? { disabled_at: change.disabledAt ?? null } : change)
          .where('name', '=', name)
          .executeTakeFirst();
        expectChanged(result, `there is no OAuth client ${name}`);
      }),

    async find(name) {
      const row = await database.run((db) => clientsOf(db).where('name', '=', name).executeTakeFirst());
      return row && toClient(row);
    },

    async list() {
      const rows = await database.run((db) => clientsOf(db).orderBy('name').execute());
      return rows.map(toClient);
    },

    async channelCounts() {
      const rows = await database.run((db) =>
        db
          .selectFrom('channels')
          .select(['oauth_client as name', (row) => row.fn.countAll<string>().as('channels')])
          .groupBy('oauth_client')
          .execute(),
      );
      return new Map(rows.map(({ name, channels }) => [name, Number(channels)]));
    },
  };
}

function clientsOf(db: Kysely<Schema>) {
  return db
    .selectFrom('oauth_clients')
    .select(['name', 'client_id as clientId', 'dpop', 'publishing', 'created_at as createdAt', 'disabled_at']);
}

function toClient({ disabled_at: disabledAt, ...row }: StoredOAuthClient & { disabled_at: Date | null }) {
  return { ...row, ...(disabledAt ? { disabledAt } : {}) };
}
