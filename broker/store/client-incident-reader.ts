import type { Kysely } from 'kysely';
import type { ClientIncident, ClientIncidents } from '../ports.ts';
import type { Database } from './database.ts';
import type { Schema } from './schema.ts';

/** Looks at incidents of OAuth clients without changing them. */
export function createIncidentReader(database: Database): Pick<ClientIncidents, 'open' | 'list' | 'suspects'> {
  return {
    async open() {
      const rows = await database.run((db) => incidentsOf(db).where('ended_at', 'is', null).orderBy('id').execute());
      return rows.map(toIncident);
    },

    async list({ oauthClient, limit }) {
      const rows = await database.run((db) => {
        const query = incidentsOf(db).orderBy('id', 'desc').limit(limit);
        return (oauthClient === undefined ? query : query.where('oauth_client', '=', oauthClient)).execute();
      });
      return rows.map(toIncident);
    },

    async suspects(incident, limit) {
      const rows = await database.run((db) =>
        db
          .selectFrom('oauth_client_suspicions as suspicion')
          .innerJoin('channels', 'channels.id', 'suspicion.channel')
          .select([
            'suspicion.channel',
            'channels.tenant',
            'suspicion.first_at as firstAt',
            'suspicion.last_at as lastAt',
            'suspicion.error',
            'suspicion.believed',
            (row) => row.fn.countAll<string>().over().as('total'),
          ])
          .where('suspicion.incident', '=', String(incident))
          .orderBy('suspicion.believed', 'desc')
          .orderBy('suspicion.first_at')
          .orderBy('suspicion.channel')
          .limit(limit)
          .execute(),
      );
      return { suspects: rows.map(({ total: _total, ...suspect }) => suspect), total: Number(rows[0]?.total ?? 0) };
    },
  };
}

function incidentsOf(db: Kysely<Schema>) {
  return db
    .selectFrom('oauth_client_incidents')
    .select(['id', 'oauth_client', 'kind', 'opened_at', 'error', 'ended_at', 'ended_by', 'ending']);
}

function toIncident(
  row: Awaited<ReturnType<ReturnType<typeof incidentsOf>['executeTakeFirstOrThrow']>>,
): ClientIncident {
  const { ended_at: at, ended_by: by, ending } = row;
  return {
    id: Number(row.id),
    oauthClient: row.oauth_client,
    kind: row.kind,
    openedAt: row.opened_at,
    error: row.error,
    ended: at && by && ending ? { at, by, ending } : undefined,
  };
}
