/**
 * What the role of the running broker may do with each table: as much as the code in this folder does, and nothing more.
 * `broker migrate` grants it, `broker serve` checks it. A test holds it to the code and to PostgreSQL.
 *
 * Nothing else is needed: identity columns, LISTEN and NOTIFY ask for no right of their own, and the role creates nothing.
 */
import { jobSchema } from './delivery-jobs.ts';
import type { Schema } from './schema.ts';

/** A right on a table, as PostgreSQL names it. `FOR UPDATE` and `ON CONFLICT DO UPDATE` need `update`, too. */
export type Privilege = 'select' | 'insert' | 'update' | 'delete';

export const runtimePrivileges = {
  tenants: ['select', 'insert', 'update'],
  oauth_clients: ['select', 'insert', 'update'],
  channels: ['select', 'insert', 'update'],
  consents: ['select', 'insert', 'update', 'delete'],
  oauth_client_incidents: ['select', 'insert', 'update'],
  oauth_client_suspicions: ['select', 'insert', 'update', 'delete'],
  tenant_shreds: ['select', 'insert', 'update'],
  tenant_shred_revocations: ['select', 'insert', 'update'],
  channel_revocations: ['select', 'insert', 'update'],
  revoke_links: ['select', 'insert', 'update', 'delete'],
  workload_access: ['select', 'insert', 'update', 'delete'],
  workload_denials: ['select', 'insert', 'update', 'delete'],
  audit_log: ['select', 'insert'],
  audit_chains: ['select', 'insert', 'update'],
  audit_checkpoints: ['select', 'insert'],
  outbox: ['select', 'insert', 'delete'],
  broker_replicas: ['select', 'insert', 'update', 'delete'],
  notifications: ['select', 'insert', 'update', 'delete'],
  security_events: ['select', 'insert', 'delete'],
  schema_migrations: ['select'],
} as const satisfies Readonly<Record<keyof Schema | 'schema_migrations', readonly Privilege[]>>;

/** The same for the tables of graphile-worker, in its own schema: to add jobs, and to work on them. */
export const jobPrivileges = {
  migrations: ['select'],
  _private_tasks: ['select', 'insert'],
  _private_job_queues: ['select', 'insert', 'update'],
  _private_jobs: ['select', 'insert', 'update', 'delete'],
  _private_known_crontabs: [],
} as const satisfies Readonly<Record<string, readonly Privilege[]>>;

/** What could be granted on a table (PostgreSQL, "Privileges"). */
const tablePrivileges = ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'] as const;

export interface TableRight {
  /** Undefined for our own. */
  readonly schema: string | undefined;
  readonly table: string;
  readonly privilege: string;
  readonly needed: boolean;
}

/** Every right that there could be, and whether the running broker has it. */
export const tableRights: readonly TableRight[] = [
  ...rightsOn(undefined, runtimePrivileges),
  ...rightsOn(jobSchema, jobPrivileges),
];

function rightsOn(
  schema: string | undefined,
  tables: Readonly<Record<string, readonly Privilege[]>>,
): readonly TableRight[] {
  return Object.entries(tables).flatMap(([table, needed]: [string, readonly string[]]) =>
    tablePrivileges.map((privilege) => ({ schema, table, privilege, needed: needed.includes(privilege) })),
  );
}
