/**
 * Brings a database to this broker's schema: forward only, all pending migrations in one transaction. Two brokers that
 * start at once are put in order by an advisory lock; the second finds nothing to do.
 */
import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { BrokerError } from '../errors.ts';
import { createDatabase, type DatabaseOptions } from './database.ts';
import * as tenants from './migrations/0001-tenants.ts';
import * as channels from './migrations/0002-channels.ts';
import * as consents from './migrations/0003-consents.ts';
import * as workloadAccess from './migrations/0004-workload-access.ts';
import * as auditLog from './migrations/0005-audit-log.ts';
import * as auditChain from './migrations/0006-audit-chain.ts';
import * as outbox from './migrations/0010-outbox.ts';
import { translatePostgresError } from './postgres-error.ts';
import type { Schema } from './schema.ts';

const migrations: Readonly<Record<string, Migration>> = {
  '0001-tenants': tenants,
  '0002-channels': channels,
  '0003-consents': consents,
  '0004-workload-access': workloadAccess,
  '0005-audit-log': auditLog,
  '0006-audit-chain': auditChain,
  '0010-outbox': outbox,
};
const migrationTable = 'schema_migrations';

/**
 * Runs the pending migrations, without a limit of time, and answers their names. Throws CONFIG_INVALID, with a sentence
 * for the operator, where the database belongs to a newer broker; it is left as it is then.
 */
export async function migrate({
  url,
  applicationName,
}: Pick<DatabaseOptions, 'url' | 'applicationName'>): Promise<readonly string[]> {
  const database = createDatabase({ url, applicationName, statementTimeoutMs: 0 });
  try {
    return await database.run(migrateAll);
  } finally {
    await database.close();
  }
}

async function migrateAll(db: Kysely<Schema>): Promise<readonly string[]> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...migrations }) },
    migrationTableName: migrationTable,
    migrationLockTableName: 'schema_migrations_lock',
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error === undefined) return results.map((result) => result.migrationName);
  await refuseNewerDatabase(db);
  throw translatePostgresError(error);
}

async function refuseNewerDatabase(db: Kysely<Schema>): Promise<void> {
  const applied = await sql<{ name: string }>`select name from ${sql.table(migrationTable)} order by name`.execute(db);
  const newer = applied.rows.find(({ name }) => !(name in migrations));
  if (newer === undefined) return;
  const problem = `the database belongs to a newer broker (it has "${newer.name}"): start that version or a later one`;
  throw new BrokerError('CONFIG_INVALID', { detail: problem, problems: [problem] });
}
