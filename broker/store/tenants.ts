import type { Kysely } from 'kysely';
import type { Store } from '../ports.ts';
import { beginChain } from './audit-writer.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

/** Tenants in the table `tenants`. */
export function createTenants(database: Database): Store['tenants'] {
  return {
    create: (tenant, record) =>
      recorded(database, record, async (trx) => {
        await trx
          .insertInto('tenants')
          .values({ name: tenant.name, admins: tenant.admins, created_at: tenant.createdAt })
          .execute();
        await beginChain(trx, tenant.name);
      }),

    find: (name) => database.run((db) => tenantsOf(db).where('name', '=', name).executeTakeFirst()),

    list: () => database.run((db) => tenantsOf(db).orderBy('name').execute()),
  };
}

function tenantsOf(db: Kysely<Schema>) {
  return db.selectFrom('tenants').select(['name', 'admins', 'created_at as createdAt', 'state']);
}
