/**
 * Brings a database to this broker's schema: forward only, all pending migrations in one transaction. Two brokers that
 * start at once are put in order by an advisory lock; the second finds nothing to do.
 */
import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { BrokerError } from '../errors.ts';
import { createDatabase, type DatabaseOptions } from './database.ts';
import { jobSchema } from './delivery-jobs.ts';
import { jobsAreCurrent, migrateJobs } from './job-schema.ts';
import * as tenants from './migrations/0001-tenants.ts';
import * as channels from './migrations/0002-channels.ts';
import * as consents from './migrations/0003-consents.ts';
import * as workloadAccess from './migrations/0004-workload-access.ts';
import * as auditLog from './migrations/0005-audit-log.ts';
import * as auditChain from './migrations/0006-audit-chain.ts';
import * as auditCheckpoints from './migrations/0007-audit-checkpoints.ts';
import * as keyVersions from './migrations/0008-key-versions.ts';
import * as tenantShreds from './migrations/0009-tenant-shreds.ts';
import * as outbox from './migrations/0010-outbox.ts';
import * as oauthClientState from './migrations/0012-oauth-client-state.ts';
import * as channelRules from './migrations/0013-channel-rules.ts';
import * as auditLogIndexes from './migrations/0014-audit-log-indexes.ts';
import * as auditPrune from './migrations/0016-audit-prune.ts';
import * as refreshQueue from './migrations/0017-refresh-queue.ts';
import * as channelRevocations from './migrations/0018-channel-revocations.ts';
import * as notifications from './migrations/0019-notifications.ts';
import * as securityEvents from './migrations/0020-security-events.ts';
import * as clientIncidents from './migrations/0022-client-incidents.ts';
import * as channelsHotUpdates from './migrations/0023-channels-hot-updates.ts';
import * as workloadRules from './migrations/0024-workload-rules.ts';
import * as wokenChannels from './migrations/0025-woken-channels.ts';
import * as cheaperRewrap from './migrations/0026-cheaper-rewrap.ts';
import { translatePostgresError } from './postgres-error.ts';
import { grantToRuntime, requireOwner, requireRole } from './roles.ts';
import type { Schema } from './schema.ts';

const migrations: Readonly<Record<string, Migration>> = {
  '0001-tenants': tenants,
  '0002-channels': channels,
  '0003-consents': consents,
  '0004-workload-access': workloadAccess,
  '0005-audit-log': auditLog,
  '0006-audit-chain': auditChain,
  '0007-audit-checkpoints': auditCheckpoints,
  '0008-key-versions': keyVersions,
  '0009-tenant-shreds': tenantShreds,
  '0010-outbox': outbox,
  '0012-oauth-client-state': oauthClientState,
  '0013-channel-rules': channelRules,
  '0014-audit-log-indexes': auditLogIndexes,
  '0016-audit-prune': auditPrune,
  '0017-refresh-queue': refreshQueue,
  '0018-channel-revocations': channelRevocations,
  '0019-notifications': notifications,
  '0020-security-events': securityEvents,
  '0022-client-incidents': clientIncidents,
  '0023-channels-hot-updates': channelsHotUpdates,
  '0024-workload-rules': workloadRules,
  '0025-woken-channels': wokenChannels,
  '0026-cheaper-rewrap': cheaperRewrap,
};
const migrationTable = 'schema_migrations';

export interface MigrateOptions extends Pick<DatabaseOptions, 'url' | 'applicationName'> {
  /** The role of the running broker, where that is another than the one in `url`: it is given its rights. */
  readonly runtimeRole?: string | undefined;
}

/**
 * Runs the pending migrations, without a limit of time, and answers their names; then gives the role of the running
 * broker its rights, which a repeated call mends. Throws CONFIG_INVALID, with a sentence for the operator, where the
 * database belongs to a newer broker; it is left as it is then.
 */
export async function migrate({ url, applicationName, runtimeRole }: MigrateOptions): Promise<readonly string[]> {
  const database = createDatabase({ url, applicationName, statementTimeoutMs: 0 });
  try {
    return await database.run(async (db) => {
      const role = await requireOwner(db);
      if (runtimeRole !== undefined) await requireRole(db, runtimeRole);
      const applied = await migrateAll(db);
      await migrateJobs(url, applicationName);
      if (runtimeRole !== undefined && runtimeRole !== role.name) await grantToRuntime(db, runtimeRole);
      return applied;
    });
  } finally {
    await database.close();
  }
}

/**
 * The migrations that the database lacks, oldest first, or `graphile_worker` where it is only those of the jobs; all of them where it was never opened to this role. Throws CONFIG_INVALID where it
 * belongs to a newer broker.
 */
export async function pendingMigrations(db: Kysely<Schema>): Promise<readonly string[]> {
  const { rows } = await sql<{ readable: boolean | null }>`
    select has_table_privilege(to_regclass(${migrationTable}), 'select') as readable`.execute(db);
  const applied = rows[0]?.readable ? await appliedMigrations(db) : [];
  refuseNewer(applied);
  const pending = Object.keys(migrations).filter((name) => !applied.includes(name));
  return pending.length > 0 || (await jobsAreCurrent(db)) ? pending : [jobSchema];
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
  refuseNewer(await appliedMigrations(db));
  throw translatePostgresError(error);
}

async function appliedMigrations(db: Kysely<Schema>): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(migrationTable)} order by name`.execute(db);
  return rows.map(({ name }) => name);
}

function refuseNewer(applied: readonly string[]): void {
  const newer = applied.find((name) => !(name in migrations));
  if (newer === undefined) return;
  const problem = `the database belongs to a newer broker (it has "${newer}"): start that version or a later one`;
  throw new BrokerError('CONFIG_INVALID', { detail: problem, problems: [problem] });
}
