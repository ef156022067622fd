/**
 * The queries of the due queue. They go through its one index, OAuth client by OAuth client and region by region, and
 * look at as many rows of each as are wanted: a long queue of one client costs the others nothing, and channels that are
 * not due are not looked at.
 */
import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { ClaimLimits, Lease, QueuePart } from '../ports.ts';
import type { ChannelsTable } from './schema.ts';

/** A claim that ends so much later than one made now was made by a clock that went wrong, and holds nothing. */
const credibleMs = 10 * 60_000;

/** The ids of channels that are due and free, the longest due first. Nothing is locked yet. */
function longestDue(part: QueuePart, { limit, room, roomOf }: ClaimLimits): RawBuilder<unknown> {
  const most = Math.min(limit, Math.max(room, ...roomOf.values()));
  return sql`
    select id from (
      select due.id, due.refresh_due_at, coalesce(own.room, ${room}::integer) as room,
        row_number() over (partition by queue.client order by due.refresh_due_at) as place
      from (${queues(part)}) as queue
      left join unnest(${[...roomOf.keys()]}::text[], ${[...roomOf.values()]}::integer[]) as own (client, room)
        on own.client = queue.client
      cross join lateral (
        select id, refresh_due_at from channels
        where ${isIn('queue')} and refresh_due_at <= ${part.now} and ${isFree(part.now)}
        order by refresh_due_at limit ${most}
      ) as due
    ) as longest
    where place <= room order by refresh_due_at limit ${limit}`;
}

/** Claims what is due: looked at once more behind its lock, since another broker may have refreshed it after the look. */
export function claimedDue(part: QueuePart, limits: ClaimLimits, lease: Lease): RawBuilder<Selectable<ChannelsTable>> {
  return claimed(longestDue(part, limits), lease, sql`refresh_due_at <= ${part.now}`);
}

/** Claims those of the channels that are free, passing over what another broker has locked. */
export function claimed(
  wanted: RawBuilder<unknown>,
  lease: Lease,
  stillWanted: RawBuilder<unknown> = sql`true`,
): RawBuilder<Selectable<ChannelsTable>> {
  // Materialised lists, because a subquery could be run again and lock others.
  return sql<Selectable<ChannelsTable>>`
    with wanted as materialized (${wanted}),
    free as materialized (
      select id from channels
      where id in (select id from wanted) and state = 'active' and ${isFree(lease.now)} and ${stillWanted}
      for update skip locked
    ),
    claimed as (
      update channels
      set claimed_until = ${lease.until}, claimed_by = ${lease.owner}, claim_fence = claim_fence + 1, awaited = false
      from free where channels.id = free.id
      returning channels.*
    )
    select * from claimed order by refresh_due_at`;
}

/** When the first free channel is due, or the claim of one that is due ends. */
export function nextDue(part: QueuePart): RawBuilder<{ readonly due: Date | null }> {
  // Where a free one is due now, what is claimed does not matter; else all that are due are claimed, and these are few.
  return sql<{ readonly due: Date | null }>`
    select min(case
      when free.due <= ${part.now} then free.due
      else least(free.due, (
        select min(claimed_until) from channels
        where ${isIn('queue')} and refresh_due_at <= ${part.now} and not (${isFree(part.now)})
      ))
    end) as due
    from (${queues(part)}) as queue left join lateral (
      select refresh_due_at as due from channels
      where ${isIn('queue')} and ${isFree(part.now)} order by refresh_due_at limit 1
    ) as free on true`;
}

/** The pairs of OAuth client and region that there are channels of, found by jumping from one to the next in the index. */
export function queues({ regions, exceptClients }: Omit<QueuePart, 'now'>): RawBuilder<unknown> {
  return sql`
    with recursive pair as (
      select used.name as client, (
        select min(channels.region) from channels where channels.state = 'active' and channels.oauth_client = used.name
      ) as region
      from oauth_clients as used where used.disabled_at is null and used.name <> all (${exceptClients}::text[])
      union all
      select pair.client, (
        select min(channels.region) from channels
        where channels.state = 'active' and channels.oauth_client = pair.client and channels.region > pair.region
      ) from pair where pair.region is not null
    )
    select client, region from pair
    where region is not null
      and (${regions ?? null}::text[] is null or region = any (${regions ?? null}::text[]))`;
}

function isIn(queue: string): RawBuilder<unknown> {
  const at = sql.raw(queue);
  return sql`channels.state = 'active' and channels.oauth_client = ${at}.client and channels.region = ${at}.region`;
}

/**
 * The due time of a channel that is to be refreshed from `at` on. One that is due keeps its place; where it is claimed the
 * due time moves, so that whoever settles the refresh that runs leaves it.
 */
export function dueAt(at: Date): RawBuilder<Date> {
  return sql<Date>`case when claimed_until is null then least(refresh_due_at, ${at}) else ${at}::timestamptz end`;
}

export function isFree(now: Date): RawBuilder<boolean> {
  const incredible = new Date(now.getTime() + credibleMs);
  return sql<boolean>`(claimed_until is null or claimed_until <= ${now} or claimed_until > ${incredible})`;
}
