/** Incidents of OAuth clients on the wire. */
import * as z from 'zod';
import { incidentEndings, incidentKinds } from '../../../domain/client-incident.ts';
import { component, instant } from './common.ts';

const incidentKind = z
  .enum(incidentKinds)
  .describe(
    '`client_rejected`: Google refuses the client itself. `mass_invalid_grant`: many of its grants seem dead at once.',
  );

export const incidentFilter = z.strictObject({ all: z.enum(['true', 'false']).optional() });

export const thawRequest = component(
  'ThawRequest',
  z.strictObject({
    kind: incidentKind,
    believe: z
      .boolean()
      .default(false)
      .describe('Google is right: nothing is put back, and what it says is believed for a day.'),
  }),
);

const incident = component(
  'OAuthClientIncident',
  z.object({
    oauth_client: z.string(),
    kind: incidentKind,
    opened_at: instant,
    error: z.string().describe('The code that Google answered.'),
    ended: z.object({ at: instant, by: z.string(), ending: z.enum(incidentEndings) }).nullable(),
  }),
);

const shownIncident = z.object({
  incident,
  channels: z
    .array(
      z.object({
        channel: z.string(),
        tenant: z.string(),
        error: z.string(),
        first_at: instant,
        last_at: instant,
        changed: z.boolean().describe('Its state was changed before the incident was known.'),
      }),
    )
    .describe('Those whose state was changed come first; at most a thousand.'),
  total: z.int().describe('How many there are in all.'),
});

export const incidentList = component('OAuthClientIncidentList', z.object({ incidents: z.array(incident) }));

export const shownIncidentList = component(
  'ShownOAuthClientIncidentList',
  z.object({ incidents: z.array(shownIncident) }),
);

export const thawed = component(
  'ThawedOAuthClient',
  z.object({ restored: z.array(z.string()).describe('Channels that are active again.') }),
);

export type IncidentAnswer = z.output<typeof incident>;

export type IncidentListAnswer = z.output<typeof incidentList>;

export type ShownIncidentAnswer = z.output<typeof shownIncident>;

export type ShownIncidentListAnswer = z.output<typeof shownIncidentList>;

export type ThawedAnswer = z.output<typeof thawed>;
