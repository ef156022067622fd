import type { AuditPruning } from '../../ports.ts';
import { createDatabase } from '../database.ts';
import { pendingMigrations } from '../migrate.ts';
import { openServer } from '../open-server.ts';
import { type MigrateSettings, notCurrent } from '../open-store.ts';
import { requirePruner, roleState } from '../roles.ts';
import { createAuditPruning } from './audit-pruning.ts';

export interface OpenAuditPruning extends AuditPruning {
  /** The role of the database that deletes. */
  readonly databaseRole: string;
  close(): Promise<void>;
}

/** Long for a batch, and short enough that a server which is silent ends the command. */
const statementTimeoutMs = 300_000;

/**
 * Connects as the owner of the tables. Throws CONFIG_INVALID where the role is another, or the database of an older or a newer
 * version, and STORE_UNAVAILABLE.
 */
export async function openAuditPruning(settings: MigrateSettings): Promise<OpenAuditPruning> {
  const given = settings.migrationDatabaseUrl?.reveal();
  const server = given === undefined ? await openServer(settings) : undefined;
  const url = given ?? server?.ownerUrl ?? server?.url ?? '';
  const database = createDatabase({ url, applicationName: 'token-broker audit prune', statementTimeoutMs });
  const close = async () => {
    await database.close();
    await server?.stop();
  };
  try {
    const role = await database.run(roleState);
    requirePruner(role);
    const pending = await database.run(pendingMigrations);
    if (pending.length > 0) throw notCurrent(role, pending);
    return { ...createAuditPruning(database), databaseRole: role.name, close };
  } catch (error) {
    await close();
    throw error;
  }
}
