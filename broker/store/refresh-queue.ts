/**
 * The due queue: active channels in the order of `refresh_due_at`; its queries are in `due-channels.ts`.
 *
 * A claim keeps other brokers from doing the same work until `claimed_until`; it does not protect the truth. That is
 * done by the compare-and-set on generation and fence: a broker that comes back after its claim was given to another, or
 * after the owner consented anew, changes nothing.
 */
import { type Kysely, type Selectable, sql } from 'kysely';
import { BrokerError } from '../errors.ts';
import type { Lease, RefreshClaim, SettledRefresh, SettleOutcome, Store } from '../ports.ts';
import { toChannel } from './channel-row.ts';
import type { Database } from './database.ts';
import { claimed, claimedDue, isFree, nextDue } from './due-channels.ts';
import type { ChannelsTable, Schema } from './schema.ts';
import { settleAll } from './settled-refreshes.ts';

/** The part of the store that the refreshes live on. */
export function createRefreshQueue(
  database: Database,
): Pick<
  Store['channels'],
  | 'claim'
  | 'claimDue'
  | 'claimToWake'
  | 'letSleep'
  | 'giveBack'
  | 'nextDue'
  | 'refreshed'
  | 'refreshFailed'
  | 'settleAll'
  | 'proveFrom'
> {
  return {
    claim: (id, lease) =>
      database.run(async (db) => {
        const { rows } = await claimed(sql`select ${id} as id`, lease).execute(db);
        return rows.map((row) => toClaim(row, lease))[0];
      }),

    claimDue: (part, lease, limits) =>
      database.run(async (db) => {
        const { rows } = await claimedDue(part, limits, lease).execute(db);
        return rows.map((row) => toClaim(row, lease));
      }),

    claimToWake: (lease, againAt, limit) =>
      database.run(async (db) => {
        const { rows } = await sql<Selectable<ChannelsTable>>`
          with free as materialized (
            select id from channels
            where wake_at <= ${lease.now} and state = 'needs_reconsent' and reason = 'account_disabled'
              and refresh_token_encrypted is not null and ${isFree(lease.now)}
            order by wake_at limit ${limit} for update skip locked
          )
          update channels
          set claimed_until = ${lease.until}, claimed_by = ${lease.owner}, claim_fence = claim_fence + 1, awaited = false,
            wake_at = ${againAt}
          from free where channels.id = free.id
          returning channels.*`.execute(db);
        return rows.map((row) => toClaim(row, lease));
      }),

    async letSleep(claim) {
      await database.run((db) => stillClaimed(db, claim).set({ wake_at: null, claimed_until: null }).execute());
    },

    async giveBack(claim) {
      await database.run((db) => stillClaimed(db, claim).set({ claimed_until: null, awaited: false }).execute());
    },

    nextDue: (part) =>
      database.run(async (db) => {
        const { rows } = await nextDue(part).execute(db);
        return rows[0]?.due ?? undefined;
      }),

    refreshed: async (claim, success, record) => expectWritten(claim, await settle({ claim, success, record })),
    refreshFailed: async (claim, failure, record) => expectWritten(claim, await settle({ claim, failure, record })),
    settleAll: (settled) => settleAll(database, settled),

    async proveFrom({ channel, grant }, at) {
      await database.run((db) =>
        db
          .updateTable('channels')
          .set({ proof_due_at: at, refresh_due_at: sql`least(refresh_due_at, ${at})` })
          .where('id', '=', channel.id)
          .where('generation', '=', grant.generation)
          .execute(),
      );
    },
  };

  async function settle(settled: SettledRefresh): Promise<SettleOutcome | undefined> {
    return (await settleAll(database, [settled]))[0];
  }
}

function expectWritten(claim: RefreshClaim, outcome: SettleOutcome | undefined): void {
  if (outcome === undefined || outcome === 'overtaken')
    throw new BrokerError('STORE_CONFLICT', { detail: overtaken(claim) });
}

function stillClaimed(trx: Kysely<Schema>, { channel, grant, fence }: RefreshClaim) {
  return trx
    .updateTable('channels')
    .where('id', '=', channel.id)
    .where('generation', '=', grant.generation)
    .where('claim_fence', '=', fence);
}

function overtaken({ channel, grant, fence }: RefreshClaim): string {
  return `the refresh of ${channel.id} was overtaken (generation ${grant.generation}, fence ${fence})`;
}

function toClaim(row: Selectable<ChannelsTable>, { until }: Lease): RefreshClaim {
  const channel = toChannel(row);
  if (channel.grant === undefined) throw new Error('a claimed channel without a grant');
  return {
    channel,
    grant: channel.grant,
    fence: row.claim_fence,
    until,
    lastUsedAt: row.last_used_at ?? undefined,
    proofDueAt: row.proof_due_at ?? undefined,
  };
}
