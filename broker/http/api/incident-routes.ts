/** The admin API's routes for incidents of OAuth clients. */
import type { ShownIncident } from '../../flow/thaw-oauth-client.ts';
import type { ClientIncident } from '../../ports.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';

export const incidentRoutes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/oauth-client-incidents',
      operationId: 'listOAuthClientIncidents',
      summary: 'Lists the open incidents of OAuth clients; with all=true, also those that are over. For operators.',
      status: 200,
    },
    { query: wire.incidentFilter, answer: wire.incidentList },
    async ({ caller, query }, { flows }) => ({
      incidents: (await flows.oauthClientIncidents.list(caller, { all: query.all === 'true' })).map(viewIncident),
    }),
  ),
  route(
    {
      method: 'get',
      path: '/v1/oauth-clients/{oauth_client}/incidents',
      operationId: 'showOAuthClientIncidents',
      summary: 'Shows an OAuth client’s open incidents and the channels that they are about. For operators.',
      status: 200,
    },
    { answer: wire.shownIncidentList },
    async ({ caller, oauthClient }, { flows }) => ({
      incidents: (await flows.oauthClientIncidents.show(caller, { oauthClient })).map(viewShownIncident),
    }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/incidents/thaw',
      operationId: 'thawOAuthClient',
      summary: 'Ends an open incident of an OAuth client by hand. For operators.',
      status: 200,
    },
    { body: wire.thawRequest, answer: wire.thawed },
    async ({ caller, oauthClient, body }, { flows }) => {
      const { restored } = await flows.oauthClientIncidents.thaw(caller, { oauthClient, ...body });
      return { restored: restored.map(({ channel }) => channel) };
    },
  ),
];

function viewIncident({ oauthClient, kind, openedAt, error, ended }: ClientIncident): wire.IncidentAnswer {
  return {
    oauth_client: oauthClient,
    kind,
    opened_at: openedAt.toISOString(),
    error,
    ended: ended ? { at: ended.at.toISOString(), by: ended.by, ending: ended.ending } : null,
  };
}

function viewShownIncident({ incident, suspects, total }: ShownIncident): wire.ShownIncidentAnswer {
  return {
    incident: viewIncident(incident),
    channels: suspects.map(({ channel, tenant, firstAt, lastAt, error, believed }) => ({
      channel,
      tenant,
      error,
      first_at: firstAt.toISOString(),
      last_at: lastAt.toISOString(),
      changed: believed,
    })),
    total,
  };
}
