/**
 * The due queue: active channels in the order of `refresh_due_at`.
 *
 * A claim keeps other brokers from doing the same work until `claimed_until`; it does not protect the truth. That is
 * done by the compare-and-set on generation and fence: a broker that comes back after its claim was given to another, or
 * after the owner consented anew, changes nothing.
 */
import { type Kysely, type Selectable, sql } from 'kysely';
import type { RefreshClaim, Store } from '../ports.ts';
import { toChannel } from './channel-row.ts';
import { expectChanged } from './conflict.ts';
import type { Database } from './database.ts';
import { recorded } from './recorded.ts';
import type { ChannelsTable, Schema } from './schema.ts';

/** The part of the store that the refreshes live on. */
export function createRefreshQueue(
  database: Database,
): Pick<Store['channels'], 'claim' | 'claimDue' | 'nextDue' | 'refreshed' | 'refreshFailed'> {
  return {
    async claim(id, now, until) {
      const rows = await database.run((db) => claimed(db, until, unclaimed(db, now).where('id', '=', id)));
      return rows.map(toClaim)[0];
    },

    async claimDue(now, until, limit) {
      const rows = await database.run((db) =>
        claimed(
          db,
          until,
          unclaimed(db, now)
            .where('refresh_due_at', '<=', now)
            .where(clientIsInUse)
            .orderBy('refresh_due_at')
            .limit(limit),
        ),
      );
      return rows.map(toClaim);
    },

    async nextDue() {
      // Two small index scans: a claimed channel is due when its claim ends, if nobody reports before.
      const { rows } = await database.run((db) =>
        sql<{ due: Date | null }>`
          select least(
            (select refresh_due_at from channels
              where state = 'active' and claimed_until is null and ${clientIsInUse} order by refresh_due_at limit 1),
            (select min(greatest(refresh_due_at, claimed_until)) from channels
              where state = 'active' and claimed_until is not null and ${clientIsInUse})
          ) as due`.execute(db),
      );
      return rows[0]?.due ?? undefined;
    },

    refreshed: (claim, success, record) =>
      recorded(database, record, async (trx) => {
        const { rotated } = success;
        const result = await stillClaimed(trx, claim)
          .set({
            access_token_cache_key: success.accessTokenCacheKey,
            token_expiry: success.tokenExpiresAt,
            last_refresh: success.refreshedAt,
            refresh_due_at: success.refreshDueAt,
            refresh_failures: 0,
            last_failure: null,
            claimed_until: null,
          })
          .$if(rotated !== undefined, (update) =>
            update.set({
              refresh_token_encrypted: rotated?.refreshTokenEncrypted,
              refresh_token_hash: rotated?.refreshTokenHash,
            }),
          )
          .executeTakeFirst();
        expectChanged(result, overtaken(claim));
      }),

    refreshFailed: (claim, failure, record) =>
      recorded(database, record, async (trx) => {
        const result = await stillClaimed(trx, claim)
          .set((row) => ({
            refresh_failures: row('refresh_failures', '+', 1),
            last_failure: failure.className,
            refresh_due_at: failure.retryAt,
            claimed_until: null,
          }))
          .executeTakeFirst();
        expectChanged(result, overtaken(claim));
      }),
  };
}

/** Channels of an OAuth client that is switched off stay due and are passed over until it is on again. */
const clientIsInUse = sql<boolean>`channels.oauth_client <> all (
  array(select name from oauth_clients where disabled_at is not null)
)`;

/** Locks rows that may be claimed, passing over those that another broker has locked. */
function unclaimed(db: Kysely<Schema>, now: Date) {
  return db
    .selectFrom('channels')
    .select('id')
    .where('state', '=', 'active')
    .where((row) => row.or([row('claimed_until', 'is', null), row('claimed_until', '<=', now)]))
    .forUpdate()
    .skipLocked();
}

/** Claims the rows; a materialised list, because a subquery could be run again and lock others. */
async function claimed(db: Kysely<Schema>, until: Date, free: ReturnType<typeof unclaimed>) {
  return db
    .with(
      (list) => list('free').materialized(),
      () => free,
    )
    .with('claimed', (query) =>
      query
        .updateTable('channels')
        .from('free')
        .whereRef('channels.id', '=', 'free.id')
        .set((row) => ({ claimed_until: until, claim_fence: row('channels.claim_fence', '+', 1) }))
        .returningAll('channels'),
    )
    .selectFrom('claimed')
    .selectAll()
    .orderBy('refresh_due_at')
    .execute();
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

function toClaim(row: Selectable<ChannelsTable>): RefreshClaim {
  const channel = toChannel(row);
  if (channel.grant === undefined) throw new Error('an active channel without a grant');
  return { channel, grant: channel.grant, fence: row.claim_fence };
}
