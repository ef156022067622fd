import { sql } from 'kysely';
import { BrokerError } from '../errors.ts';
import type { ExpiringGrant, ExpiringTerms, Notifications } from '../ports.ts';
import type { Database } from './database.ts';
import { notify } from './notify.ts';
import { recorded } from './recorded.ts';

/** Finds the grants that will end by themselves at Google, and tells of each once. */
export function createExpiringGrants(database: Database): Pick<Notifications, 'expiring' | 'tellExpiring'> {
  return {
    expiring: (terms, limit) =>
      database.run(async (db) => {
        const { rows } = await sql<Nullable<ExpiringGrant>>`
          select kind, tenant, channel, generation, "oauthClient", "expiresAt", grants
            from (${testing(terms)} union all ${timed(terms)} union all ${idle(terms)} union all ${tooMany(terms)}) as found
            where not exists (
              select from notifications
                where notifications.channel = found.channel and notifications.generation = found.generation
                  and notifications.type = 'channel.expiring' and notifications.occasion = found.kind
            )
            order by "expiresAt" nulls last, channel limit ${limit}`.execute(db);
        return rows.map(({ expiresAt, grants, ...row }) => ({
          ...row,
          expiresAt: expiresAt ?? undefined,
          grants: grants ?? undefined,
        }));
      }),

    tellExpiring: (grant, at, record) =>
      recorded(database, record, async (trx) => {
        const { kind, tenant, channel, generation, oauthClient, expiresAt, grants } = grant;
        const facts = {
          kind,
          ...(expiresAt && { expires_at: expiresAt.toISOString() }),
          ...(grants !== undefined && { grants }),
        };
        const about = { tenant, channel, generation, oauthClient };
        const told = await notify(trx, { type: 'channel.expiring', occasion: kind, at, ...about, facts });
        if (told === undefined) throw new BrokerError('STORE_CONFLICT', { detail: `${kind} of ${channel} was told` });
      }),
  };
}

type Nullable<T> = { [K in keyof T]: undefined extends T[K] ? Exclude<T[K], undefined> | null : T[K] };

/** Of an OAuth client in testing; those that have ended are told by their refresh. */
function testing({ testingSince, testingDead, testingLifeMs }: ExpiringTerms) {
  return sql`
    select 'testing_mode' as kind, tenant, id as channel, generation, oauth_client as "oauthClient",
        consented_at + make_interval(secs => ${testingLifeMs / 1000}) as "expiresAt", null::integer as grants
      from channels join oauth_clients on oauth_clients.name = oauth_client
      where state in ('active', 'suspended') and consented_at <= ${testingSince} and consented_at > ${testingDead}
        and publishing = 'testing'`;
}

/** Of whom Google said at the consent when they end. */
function timed({ timedUntil, now }: ExpiringTerms) {
  return sql`
    select 'time_based', tenant, id, generation, oauth_client, refresh_token_expires_at, null
      from channels
      where state in ('active', 'suspended')
        and refresh_token_expires_at <= ${timedUntil} and refresh_token_expires_at > ${now}`;
}

/** Not used for long: suspended, or of an OAuth client that is switched off or sick. */
function idle({ idleSince, idleLifeMs }: ExpiringTerms) {
  return sql`
    select 'idle', tenant, id, generation, oauth_client,
        coalesce(last_refresh, consented_at) + make_interval(secs => ${idleLifeMs / 1000}), null
      from channels
      where state in ('active', 'suspended') and coalesce(last_refresh, consented_at) <= ${idleSince}`;
}

/** The oldest grant of each Google identity that has too many with one OAuth client: Google ends that one first. */
function tooMany({ mostGrants }: ExpiringTerms) {
  return sql`
    select 'token_limit', tenant, id, generation, oauth_client, null, grants
      from (
        select tenant, id, generation, oauth_client,
            (count(*) over same)::integer as grants, row_number() over (same order by consented_at, id) as place
          from channels where state in ('active', 'suspended') and google_subject is not null
          window same as (partition by oauth_client, google_subject)
      ) as counted
      where grants >= ${mostGrants} and place = 1`;
}
