/** What is on record of tenants' keys: columns of the table `tenants`. A claim is as in the due queue of refreshes. */
import { type Kysely, type Selectable, sql, type UpdateObject } from 'kysely';
import { BrokerError } from '../errors.ts';
import type { TenantKeyClaim, TenantKeyRecord, TenantKeyRecords } from '../ports.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { Schema } from './schema.ts';

type Row = Selectable<Schema['tenants']>;

/**
 * In place of the time of a look: look soon. It differs from claim to claim, so that the end of a look tells a wish that
 * came while it ran, and may have been too late for it, from the one that it fulfils.
 */
const soon = sql<Date>`to_timestamp(0) + key_claim_fence * interval '1 microsecond'`;

export function createTenantKeyRecords(database: Database): TenantKeyRecords {
  const claimed = async (until: Date, free: (db: Kysely<Schema>) => ReturnType<typeof unclaimed>) => {
    const row = await database.run((db) =>
      db
        .with(
          (list) => list('free').materialized(),
          () => free(db),
        )
        .updateTable('tenants')
        .from('free')
        .whereRef('tenants.name', '=', 'free.name')
        .set((tenant) => ({ key_claimed_until: until, key_claim_fence: tenant('tenants.key_claim_fence', '+', 1) }))
        .returningAll('tenants')
        .executeTakeFirst(),
    );
    return row && { record: toRecord(row), fence: row.key_claim_fence };
  };

  return {
    async find(tenant) {
      const row = await database.run((db) =>
        db.selectFrom('tenants').selectAll().where('name', '=', tenant).executeTakeFirst(),
      );
      return row && toRecord(row);
    },

    list: async () => (await database.run((db) => db.selectFrom('tenants').selectAll().execute())).map(toRecord),

    claim: (tenant, now, until) => claimed(until, (db) => unclaimed(db, now).where('name', '=', tenant)),

    claimDue: ({ now, lookedBefore, except }, until) =>
      claimed(until, (db) =>
        unclaimed(db, now)
          // A tenant that is being shredded is to lose its key.
          .where('state', '=', 'active')
          .where((row) => row.or([row('key_looked_at', 'is', null), row('key_looked_at', '<=', lookedBefore)]))
          .where(sql<boolean>`name <> all (${except})`)
          .orderBy('key_looked_at', (order) => order.asc().nullsFirst())
          .limit(1),
      ),

    extend: (claim, until) => database.run((db) => change(db, claim, { key_claimed_until: until })),

    async note(claim, found, record) {
      const columns = {
        ...(found.version !== undefined && { key_version: found.version }),
        ...(found.minVersion !== undefined && { key_min_version: found.minVersion }),
        ...('fault' in found && { key_fault: found.fault ?? null }),
        ...('rewrappedAt' in found && { key_rewrapped_at: found.rewrappedAt ?? null }),
        ...(found.rewrapFailed && { key_rewrap_failed: found.rewrapFailed }),
      };
      if (record) await recorded(database, record, (trx) => change(trx, claim, columns));
      else await database.run((db) => change(db, claim, columns));
    },

    raiseMinimum: (claim, version, record) =>
      recorded(database, record, async (trx) => {
        const { tenant } = claim.record;
        await sql`select pg_advisory_xact_lock(hashtextextended('tenant-key ' || ${tenant}, 0))`.execute(trx);
        const { rows } = await sql<{ needing: number }>`
          select ((select count(*) from channels where tenant = ${tenant} and refresh_token_key_version < ${version})
            + (select count(*) from consents where tenant = ${tenant} and received_token_key_version < ${version})
            + (select count(*) from consents where tenant = ${tenant} and code_verifier_key_version < ${version})
          )::integer as needing`.execute(trx);
        const needing = rows[0]?.needing ?? 0;
        if (needing > 0) {
          const problem = `${needing} ${needing === 1 ? 'row needs' : 'rows need'} a version before ${version}`;
          throw new BrokerError('KEY_VERSION_IN_USE', { detail: problem, problems: [problem] });
        }
        await change(trx, claim, { key_min_version: version });
      }),

    release: (claim, lookedAt) =>
      database.run((db) =>
        change(db, claim, {
          key_claimed_until: null,
          key_looked_at: sql<Date>`case when key_looked_at = ${soon} then key_looked_at else ${lookedAt} end`,
        }),
      ),

    lookSoon: (tenant) =>
      database.run(async (db) => {
        await db.updateTable('tenants').set({ key_looked_at: soon }).where('name', '=', tenant).execute();
      }),

    setSchedule: (tenant, everyMs, record) =>
      recorded(database, record, async (trx) => {
        await trx
          .updateTable('tenants')
          .set({ key_rotate_every_s: everyMs === undefined ? null : Math.ceil(everyMs / 1_000), key_looked_at: soon })
          .where('name', '=', tenant)
          .execute();
      }),
  };
}

function unclaimed(db: Kysely<Schema>, now: Date) {
  return db
    .selectFrom('tenants')
    .select('name')
    .where((row) => row.or([row('key_claimed_until', 'is', null), row('key_claimed_until', '<=', now)]))
    .forUpdate()
    .skipLocked();
}

async function change(db: Kysely<Schema>, claim: TenantKeyClaim, columns: UpdateObject<Schema, 'tenants'>) {
  if (Object.keys(columns).length === 0) return;
  const result = await db
    .updateTable('tenants')
    .set(columns)
    .where('name', '=', claim.record.tenant)
    .where('key_claim_fence', '=', claim.fence)
    .executeTakeFirst();
  expectChanged(result, `the work on the key of ${claim.record.tenant} was overtaken (fence ${claim.fence})`);
}

function toRecord(row: Row): TenantKeyRecord {
  return {
    tenant: row.name,
    version: row.key_version ?? undefined,
    minVersion: row.key_min_version,
    fault: row.key_fault ?? undefined,
    rewrappedAt: row.key_rewrapped_at ?? undefined,
    rewrapFailed: row.key_rewrap_failed,
    rotateEveryMs: row.key_rotate_every_s === null ? undefined : row.key_rotate_every_s * 1_000,
    claimedUntil: row.key_claimed_until ?? undefined,
  };
}
