import { type Kysely, type Selectable, sql } from 'kysely';
import { revocationOutcomes } from '../domain/revocation.ts';
import type { RevocationTally, Shred } from '../domain/shred.ts';
import { BrokerError } from '../errors.ts';
import type { Shreds } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema, TenantShredsTable } from './schema.ts';
import { foreignSiblings } from './siblings.ts';

/** Requests to shred a tenant, up to the start; the rest is `started-shreds.ts`. */
export function createShreds(
  database: Database,
): Pick<Shreds, 'newest' | 'impact' | 'request' | 'approve' | 'cancel' | 'tally'> {
  return {
    async newest(tenant) {
      const row = await database.run((db) =>
        db
          .selectFrom('tenant_shreds')
          .selectAll()
          .where('tenant', '=', tenant)
          .orderBy(sql`state in ('cancelled', 'expired')`)
          .orderBy('requested_at', 'desc')
          .limit(1)
          .executeTakeFirst(),
      );
      return row && toShred(row);
    },

    impact: (tenant) =>
      database.run(async (db) => {
        const workloads = await db
          .selectFrom('workload_access')
          .select('spiffe_id')
          .distinct()
          .where('tenant', '=', tenant)
          .orderBy('spiffe_id')
          .execute();
        const consents = await db
          .selectFrom('consents')
          .select((row) => row.fn.countAll<string>().as('open'))
          .where('tenant', '=', tenant)
          .where('status', '<>', 'completed')
          .executeTakeFirstOrThrow();
        const siblings = await foreignSiblings(db)
          .select(['own.id as channel', 'other.id', 'other.tenant', 'other.owner', 'other.admins'])
          .where('own.tenant', '=', tenant)
          .orderBy('own.id')
          .orderBy('other.id')
          .execute();
        return {
          workloads: workloads.map(({ spiffe_id }) => spiffe_id),
          openConsents: Number(consents.open),
          siblings: siblings.map(({ channel, ...sibling }) => ({ channel, sibling })),
        };
      }),

    request: async (shred, record) => {
      try {
        await recorded(database, record, async (trx) => {
          await trx
            .updateTable('tenant_shreds')
            .set({ state: 'expired', ended_at: shred.requestedAt })
            .where('tenant', '=', shred.tenant)
            .where('state', 'in', ['requested', 'approved'])
            .where('expires_at', '<=', shred.requestedAt)
            .execute();
          await trx
            .insertInto('tenant_shreds')
            .values({
              id: shred.id,
              tenant: shred.tenant,
              state: shred.state,
              reason: shred.reason,
              approvals_needed: shred.approvalsNeeded,
              without_revocation: shred.withoutRevocation,
              requested_by: shred.requestedBy,
              requested_at: shred.requestedAt,
              expires_at: shred.expiresAt,
            })
            .execute();
        });
      } catch (error) {
        if (!(error instanceof BrokerError) || error.code !== 'ALREADY_EXISTS') throw error;
        throw new BrokerError('SHRED_EXISTS', { detail: `tenant ${shred.tenant}`, cause: error });
      }
    },

    approve: (id, by, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('tenant_shreds')
          .set({ state: 'approved', approved_by: by, approved_at: at })
          .where('id', '=', id)
          .where('state', '=', 'requested')
          .where('expires_at', '>', at)
          .executeTakeFirst();
        expectChanged(result, `shred ${id} does not wait for an approval`);
      }),

    cancel: (id, at, record) =>
      recorded(database, record, async (trx) => {
        const result = await trx
          .updateTable('tenant_shreds')
          .set({ state: 'cancelled', ended_at: at })
          .where('id', '=', id)
          .where('state', 'in', ['requested', 'approved'])
          .executeTakeFirst();
        expectChanged(result, `shred ${id} has been started or has ended`);
      }),

    tally: (id) => database.run((db) => tallyOf(db, id)),
  };
}

export async function tallyOf(db: Kysely<Schema>, id: string): Promise<RevocationTally> {
  const rows = await db
    .selectFrom('tenant_shred_revocations')
    .select((row) => ['outcome', row.fn.countAll<string>().as('count')])
    .where('shred', '=', id)
    .groupBy('outcome')
    .execute();
  const of = (outcome: string | null) => Number(rows.find((row) => row.outcome === outcome)?.count ?? 0);
  const known = Object.fromEntries(revocationOutcomes.map((outcome) => [outcome, of(outcome)]));
  return { ...known, pending: of(null) } as RevocationTally;
}

export function toShred(row: Selectable<TenantShredsTable>): Shred {
  return {
    id: row.id,
    tenant: row.tenant,
    state: row.state,
    reason: row.reason,
    approvalsNeeded: row.approvals_needed,
    withoutRevocation: row.without_revocation,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    approvedBy: row.approved_by ?? undefined,
    approvedAt: row.approved_at ?? undefined,
    startedBy: row.started_by ?? undefined,
    startedAt: row.started_at ?? undefined,
    endedAt: row.ended_at ?? undefined,
    controlCiphertext: row.control_ciphertext ?? undefined,
    proof: row.proof ?? undefined,
  };
}
