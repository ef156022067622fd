/**
 * The two roles of the database: the owner, whose tables they are and who migrates them, and the role of the running
 * broker, which has the rights in `privileges.ts`. Small set-ups have one role for both.
 */
import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { BrokerError } from '../errors.ts';
import { jobSchema } from './delivery-jobs.ts';
import { jobPrivileges, type Privilege, runtimePrivileges, type TableRight, tableRights } from './privileges.ts';
import type { Schema } from './schema.ts';

// Any number will do: GRANTs of two sessions on one table at the same time fail each other.
const GRANT_LOCK = 7_240_551;

/** Gives the role of the running broker its rights, and takes every other right on our tables from it. */
export async function grantToRuntime(db: Kysely<Schema>, role: string): Promise<void> {
  const grantee = sql.id(role);
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(${sql.lit(GRANT_LOCK)})`.execute(trx);
    const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(trx);
    await sql`grant usage on schema ${sql.id(rows[0]?.schema ?? '')} to ${grantee}`.execute(trx);
    await sql`revoke create on schema ${sql.id(rows[0]?.schema ?? '')} from ${grantee}`.execute(trx);
    await sql`grant usage on schema ${sql.id(jobSchema)} to ${grantee}`.execute(trx);
    for (const [table, needed] of Object.entries(runtimePrivileges))
      await grant(trx, sql.table(table), needed, grantee);
    for (const [table, needed] of Object.entries(jobPrivileges)) {
      await grant(trx, sql.id(jobSchema, table), needed, grantee);
    }
  });
}

async function grant(
  trx: Transaction<Schema>,
  table: RawBuilder<unknown>,
  needed: readonly Privilege[],
  grantee: RawBuilder<unknown>,
): Promise<void> {
  await sql`revoke all on table ${table} from ${grantee}`.execute(trx);
  if (needed.length > 0) await sql`grant ${sql.raw(needed.join(', '))} on table ${table} to ${grantee}`.execute(trx);
}

/** The role of a connection, held against what the running broker needs. */
export interface RoleState {
  readonly name: string;
  /** May create tables here and change those that are there, or is a superuser. */
  readonly mayMigrate: boolean;
}

export async function roleState(db: Kysely<Schema>): Promise<RoleState> {
  const { rows } = await sql<RoleState>`
    select current_user as name,
      coalesce(has_schema_privilege(current_schema(), 'create'), false)
        and coalesce((select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass('schema_migrations')), true)
      as "mayMigrate"`.execute(db);
  return rows[0] ?? { name: '', mayMigrate: false };
}

/** Rights of this connection's role, as `insert on audit_log`: those that it lacks, and those beyond its need. */
export interface RightsDiffer {
  readonly lacks: readonly string[];
  readonly exceeds: readonly string[];
}

/** Compares the rights of this connection's role with those that the running broker needs; all tables are there. */
export async function compareRights(db: Kysely<Schema>): Promise<RightsDiffer> {
  const list = sql.join(
    tableRights.map(
      ({ schema, table, privilege }) => sql`(${schema ?? null}::text, ${table}::text, ${privilege}::text)`,
    ),
  );
  const { rows } = await sql<Pick<TableRight, 'table' | 'privilege'> & { schema: string | null }>`
    select wanted.schema, wanted."table", wanted.privilege
      from (values ${list}) as wanted (schema, "table", privilege)
        join pg_namespace on nspname = coalesce(wanted.schema, current_schema())
        join pg_class on relnamespace = pg_namespace.oid and relname = wanted."table"
      where has_table_privilege(pg_class.oid, wanted.privilege)`.execute(db);
  const nameOf = ({
    schema,
    table,
    privilege,
  }: Pick<(typeof rows)[number], 'table' | 'privilege'> & { schema?: string | null | undefined }) =>
    `${privilege} on ${schema ? `${schema}.` : ''}${table}`;
  const held = new Set(rows.map(nameOf));
  const named = tableRights.map((right) => ({ right: nameOf(right), needed: right.needed }));
  return {
    lacks: named.filter(({ right, needed }) => needed && !held.has(right)).map(({ right }) => right),
    exceeds: named.filter(({ right, needed }) => !needed && held.has(right)).map(({ right }) => right),
  };
}

/** Answers this connection's role. Throws CONFIG_INVALID where it cannot migrate. */
export async function requireOwner(db: Kysely<Schema>): Promise<RoleState> {
  const role = await roleState(db);
  if (role.mayMigrate) return role;
  throw invalid(
    `the role "${role.name}" may not change the tables of this database: ${howToMigrate} (docs/operating.md, "Database roles")`,
  );
}

/** Throws CONFIG_INVALID where this connection's role cannot delete from the audit record. */
export function requirePruner(role: RoleState): void {
  if (role.mayMigrate) return;
  throw invalid(
    `the role "${role.name}" may not delete from the audit record: run \`broker audit prune\` with the owner of the tables in BROKER_MIGRATION_DATABASE_URL (docs/operating.md, "Database roles")`,
  );
}

/** Throws CONFIG_INVALID where the server has no role of that name. */
export async function requireRole(db: Kysely<Schema>, name: string): Promise<void> {
  const { rows } = await sql`select from pg_roles where rolname = ${name}`.execute(db);
  if (rows.length > 0) return;
  throw invalid(
    `there is no role "${name}", which DATABASE_URL names: make it first (docs/operating.md, "Database roles")`,
  );
}

/** Throws CONFIG_INVALID where this connection's role cannot do what the broker does. */
export function requireRights(role: RoleState, { lacks }: RightsDiffer): void {
  if (lacks.length === 0) return;
  throw invalid(`the role "${role.name}" lacks rights in the database (${lacks.join(', ')}): ${howToMigrate}`);
}

/** The next step of whoever reads that the database is not ready. */
export const howToMigrate = 'run `broker migrate`, with the owner of the tables in BROKER_MIGRATION_DATABASE_URL';

function invalid(problem: string): BrokerError {
  return new BrokerError('CONFIG_INVALID', { detail: problem, problems: [problem] });
}
