import { createHash } from 'node:crypto';
import pg from 'pg';

/** The two roles that a database of the broker has: whose tables they are, and as whom the broker runs. */
export const databaseRoles = { owner: 'broker_owner', runtime: 'broker' } as const;

// Any number will do, as long as all who make the roles take the same.
const ROLES_LOCK = 4_820_194;

/**
 * Makes both roles on the server that `adminUrl` belongs to, where they are missing, and the owner the owner of the
 * database. Their passwords follow from the superuser's, so that other processes can tell them, too.
 */
export async function giveToOwner(adminUrl: string, database: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [ROLES_LOCK]);
    for (const role of Object.values(databaseRoles)) {
      const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
      if (rowCount !== 0) continue;
      await client.query(`create role ${role} login password ${pg.escapeLiteral(passwordOf(adminUrl, role))}`);
    }
    const name = pg.escapeIdentifier(database);
    await client.query(`alter database ${name} owner to ${databaseRoles.owner}`);
    await client.query(`revoke all on database ${name} from public`);
    await client.query(`grant connect on database ${name} to ${databaseRoles.runtime}`);
  } finally {
    await client.end();
  }
}

/** The URL of a database on the server that `adminUrl` belongs to, as one of its roles. */
export function urlAs(role: keyof typeof databaseRoles, adminUrl: string, database: string): string {
  const url = new URL(adminUrl);
  url.username = databaseRoles[role];
  url.password = passwordOf(adminUrl, databaseRoles[role]);
  url.pathname = `/${database}`;
  return url.href;
}

function passwordOf(adminUrl: string, role: string): string {
  return createHash('sha256')
    .update(`${role} ${new URL(adminUrl).password}`)
    .digest('base64url');
}
