import type { Kysely } from 'kysely';
import type { Store } from '../ports.ts';
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
            created_at: client.createdAt,
          })
          .execute();
      }),

    find: (name) => database.run((db) => clientsOf(db).where('name', '=', name).executeTakeFirst()),

    list: () => database.run((db) => clientsOf(db).orderBy('name').execute()),
  };
}

function clientsOf(db: Kysely<Schema>) {
  return db.selectFrom('oauth_clients').select(['name', 'client_id as clientId', 'dpop', 'created_at as createdAt']);
}
