/**
 * What a broker whose clock was ahead has left behind: due times, claims and refreshes at instants that have not come. Found
 * by the indexes of the due queue, so that looking costs the same however many channels there are.
 */
import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Store } from '../ports.ts';
import type { Database } from './database.ts';
import { queues } from './due-channels.ts';
import type { Schema } from './schema.ts';

const hourMs = 3_600_000;
/** A channel is due before its token's end, or within a day and an hour for its proof; `Retry-After` is taken up to a day. */
const latestDueMs = 26 * hourMs;
/** Nothing else is put off by more: back-off, the proofs of siblings, claims. */
const latestElseMs = 2 * hourMs;
/** Notifications are put off by a day and a tenth. */
const latestTryMs = 30 * hourMs;

export function createWrongClock(database: Database): Pick<Store['channels'], 'replan'> {
  return {
    replan: (now, { aheadMs, spreadMs }) =>
      database.transaction(async (trx) => {
        const after = (ms: number) => new Date(now.getTime() + ms);
        const { rows } = await sql`
          with stray as materialized (${refreshedAfter(after(aheadMs))} union ${dueAfter(after(latestDueMs))}),
          locked as materialized (
            select id from channels where id in (select id from stray) order by id for update skip locked
          )
          update channels set
            refresh_due_at = ${spread(now, spreadMs)},
            proof_due_at = least(proof_due_at, ${after(latestDueMs)}::timestamptz),
            last_refresh = least(last_refresh, ${now}::timestamptz)
          from locked where channels.id = locked.id and state = 'active'
          returning channels.id`.execute(trx);
        await letGo(trx, now, after(latestElseMs), after(latestTryMs));
        return rows.length;
      }),
  };
}

function refreshedAfter(instant: Date): RawBuilder<unknown> {
  return sql`
    select ahead.id from oauth_clients cross join lateral (
      select id from channels
      where channels.oauth_client = oauth_clients.name and last_refresh > ${instant} and state = 'active'
    ) as ahead`;
}

/** One whose token lives that long is due in time. */
function dueAfter(instant: Date): RawBuilder<unknown> {
  return sql`
    select far.id from (${queues({ regions: undefined, exceptClients: [] })}) as queue cross join lateral (
      select id from channels
      where state = 'active' and channels.oauth_client = queue.client and channels.region = queue.region
        and refresh_due_at > ${instant} and refresh_due_at > coalesce(token_expiry, '-infinity')
    ) as far`;
}

function spread(now: Date, spreadMs: number): RawBuilder<Date> {
  return sql`${now}::timestamptz
    + make_interval(secs => ${spreadMs / 1000} * (hashtext(channels.id)::bigint + 2147483648) / 4294967296.0)`;
}

/** Claims and due times of everything else that is worked on in turns. */
async function letGo(trx: Transaction<Schema>, now: Date, latest: Date, latestTry: Date): Promise<void> {
  await sql`
    update channel_revocations set
      due_at = case when due_at > ${latest} then ${now} else due_at end,
      prove_at = case when prove_at > ${latest} then ${now} else prove_at end,
      claimed_until = case when claimed_until <= ${latest} then claimed_until end
    where due_at > ${latest} or prove_at > ${latest} or claimed_until > ${latest}`.execute(trx);
  await sql`update tenant_shreds set claimed_until = ${now} where claimed_until > ${latest}`.execute(trx);
  await sql`
    update tenant_shred_revocations set due_at = ${now} where outcome is null and due_at > ${latest}`.execute(trx);
  await sql`update tenants set key_claimed_until = null where key_claimed_until > ${latest}`.execute(trx);
  await sql`
    update notifications set due_at = least(due_at, ${now}), claimed_until = null
    where state = 'waiting' and (due_at > ${latestTry} or claimed_until > ${latest})`.execute(trx);
}
