/**
 * Every column that holds ciphertexts of tenants' keys, for rewrapping. Reads go along the tenant's rows, by id; a write
 * changes the ciphertext where it is still the one that was rewrapped, so that a refresh that wrote meanwhile wins.
 */
import { sql } from 'kysely';
import { verifierGeneration } from '../domain/consent.ts';
import type { CiphertextKind, Ciphertexts } from '../ports.ts';
import type { Database } from './database.ts';

const places = {
  grant: {
    table: sql.table('channels'),
    ciphertext: sql.ref('refresh_token_encrypted'),
    version: sql.ref('refresh_token_key_version'),
    channel: sql.ref('id'),
    generation: sql.ref('generation'),
  },
  received: {
    table: sql.table('consents'),
    ciphertext: sql.ref('received_token_encrypted'),
    version: sql.ref('received_token_key_version'),
    channel: sql.ref('channel'),
    generation: sql.ref('received_generation'),
  },
  verifier: {
    table: sql.table('consents'),
    ciphertext: sql.ref('code_verifier_encrypted'),
    version: sql.ref('code_verifier_key_version'),
    channel: sql.ref('channel'),
    generation: sql.lit(verifierGeneration),
  },
} as const satisfies Readonly<Record<CiphertextKind, object>>;

/** Rows as lists, each list as one text; null where there are none. */
interface FoundRows {
  readonly ids: string | null;
  readonly channels: string | null;
  readonly generations: string | null;
  readonly ciphertexts: string | null;
}

export function createCiphertexts(database: Database): Ciphertexts {
  return {
    async countByKeyVersion(tenant) {
      const counts = Object.values(places).map(
        ({ table, version }) =>
          sql`select ${version} as version, count(*)::integer as rows from ${table}
              where tenant = ${tenant} and ${version} is not null group by 1`,
      );
      const { rows } = await database.run((db) =>
        sql<{ version: number; rows: number }>`
          select version, sum(rows)::integer as rows from (${sql.join(counts, sql` union all `)}) as counted
          group by version order by version`.execute(db),
      );
      return rows;
    },

    async below(tenant, kind, below, after, limit) {
      const { table, ciphertext, version, channel, generation } = places[kind];
      const { rows } = await database.prepared(
        sql<FoundRows>`
          select string_agg(id, ' ') as ids, string_agg(channel, ' ') as channels,
            string_agg(generation::text, ' ') as generations, string_agg(ciphertext, ' ') as ciphertexts
          from (
            select id, ${channel} as channel, ${generation} as generation, ${ciphertext} as ciphertext
            from ${table}
            where tenant = ${tenant} and ${version} < ${below} and id > ${after?.id ?? ''}
            order by id limit ${limit}
          ) as found`,
      );
      const [ids, channels, generations, ciphertexts] = [
        itemsOf(rows[0]?.ids),
        itemsOf(rows[0]?.channels),
        itemsOf(rows[0]?.generations),
        itemsOf(rows[0]?.ciphertexts),
      ];
      return ids.map((id, row) => ({
        id,
        channel: channels[row] ?? '',
        generation: Number(generations[row]),
        ciphertext: ciphertexts[row] ?? '',
      }));
    },

    replace: async (kind, changes) => {
      const { table, ciphertext } = places[kind];
      const [ids, from, to] = [changes.map(({ id }) => id), changes.map((c) => c.from), changes.map((c) => c.to)];
      // The settings are this statement's, which is a transaction of its own. Not waited for on disk: what a crash takes
      // back is still there under the older version, and moved again. The lock timeout keeps a batch from holding its rows
      // while it waits for one that somebody else holds.
      const { numAffectedRows } = await database.prepared(
        sql`
          with settings as materialized (
            select set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '1s', true)
          )
          update ${table} as stored set ${ciphertext} = moved.new
          from settings, unnest(${list(ids)}, ${list(from)}, ${list(to)}) as moved (row_id, old, new)
          where stored.id = moved.row_id and ${ciphertext} = moved.old`,
      );
      return Number(numAffectedRows ?? 0n);
    },
  };
}

/**
 * Lists travel as one text, since neither ids nor ciphertexts hold a space: `pg` would take each row apart by itself, and
 * search each value for what an array has to escape.
 */
function list(values: readonly string[]) {
  return sql`string_to_array(${values.join(' ')}, ' ')`;
}

function itemsOf(list: string | null | undefined): readonly string[] {
  return list ? list.split(' ') : [];
}
