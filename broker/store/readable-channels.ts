import { sql } from 'kysely';
import type { ChannelState } from '../domain/channel.ts';
import type { ReadableChannel, Store } from '../ports.ts';
import type { Database } from './database.ts';
import { rulesNaming, type TermsRow, toTerms } from './workload-rules.ts';

interface Row {
  readonly tenant: string | null;
  readonly state: ChannelState | null;
  readonly has_grant: boolean;
  readonly generation: number | null;
  readonly rules: readonly TermsRow[] | null;
  readonly scopes: readonly string[] | null;
  readonly youtube_channel_id: string | null;
  readonly access_token_cache_key: string | null;
  readonly token_expiry: Date | null;
  readonly refreshed_at: Date | null;
}

/** The few columns that decide about reading a token, for many readers in one query. */
export function createReadableChannels(database: Database): Pick<Store, 'findReadable'> {
  return {
    async findReadable(asks) {
      const { rows } = await database.run((db) =>
        sql<Row>`
          select c.tenant, c.state, c.refresh_token_encrypted is not null as has_grant, c.generation, c.scopes, c.youtube_channel_id,
            c.access_token_cache_key, c.token_expiry, coalesce(c.last_refresh, c.consented_at) as refreshed_at,
            r.rules
          from unnest(
            ${asks.map(({ spiffeId }) => spiffeId)}::text[],
            ${asks.map(({ channel }) => channel)}::text[]
          ) with ordinality as asked (spiffe_id, channel, place)
          left join channels c on c.id = asked.channel
          left join lateral (
            select json_agg(rule) as rules from (${rulesNaming(sql`asked.spiffe_id`, sql`asked.channel`)}) as rule
          ) as r on true
          order by asked.place`.execute(db),
      );
      return rows.map(toReadable);
    },
  };
}

function toReadable(row: Row): ReadableChannel | undefined {
  const { tenant, state, rules } = row;
  if (tenant === null || state === null) return undefined;
  return { tenant, state, rules: (rules ?? []).map(toTerms), grant: toGrant(row) };
}

function toGrant(row: Row): ReadableChannel['grant'] {
  const { has_grant, generation, scopes, youtube_channel_id, refreshed_at } = row;
  // The table's constraints keep these together; the checks are for the compiler.
  if (!has_grant || generation === null || scopes === null || youtube_channel_id === null || refreshed_at === null)
    return undefined;
  return {
    generation,
    scopes,
    youtubeChannelId: youtube_channel_id,
    accessTokenCacheKey: row.access_token_cache_key ?? undefined,
    tokenExpiresAt: row.token_expiry ?? undefined,
    refreshedAt: refreshed_at,
  };
}
