/** Channels, their grants and consents on the wire. */
import * as z from 'zod';
import { channelStates } from '../../../domain/channel.ts';
import { component, instant, name, principal, reason, scope } from './common.ts';
import { workload } from './workloads.ts';

export const newChannel = component(
  'NewChannel',
  z.strictObject({
    tenant: name,
    name: name.describe('Unique within the tenant.'),
    oauth_client: name.describe('The OAuth client to ask for consent with.'),
    region: name.optional().describe('Where it is refreshed; the broker’s own region where absent.'),
    owner: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Subject of its owner at the identity provider; you, where absent.'),
    admins: z.array(principal).max(100).optional(),
    scopes: z.array(scope).max(20).optional().describe('What to ask the owner for; upload and identify, where absent.'),
  }),
);

export const suspension = component('Suspension', z.strictObject({ reason }));

export const channelFilter = z.strictObject({
  tenant: name.optional().describe('Only this tenant’s.'),
  state: z.enum(channelStates).optional().describe('Only those in this state.'),
});

export const grant = component(
  'Grant',
  z.object({
    generation: z.int().describe('Counts the consents.'),
    scopes: z.array(z.string()).describe('What the owner granted.'),
    youtube_channel_id: z.string(),
    youtube_title: z.string(),
    consented_at: instant,
    token_expires_at: instant.nullable().describe('When the newest access token expires.'),
    last_refresh_at: instant.nullable(),
    refresh_due_at: instant.nullable(),
    refresh_failures: z.int().describe('In a row, since the last success.'),
    last_failure: z.string().nullable().describe('Class of the last failure.'),
  }),
);

export const channel = component(
  'Channel',
  z.object({
    id: z.string(),
    tenant: z.string(),
    name: z.string(),
    region: z.string(),
    oauth_client: z.string(),
    state: z.enum(channelStates),
    reason: z.string().describe('Why it is in its state.'),
    degraded: z.boolean().describe('Active, but its refreshes fail for a reason that is not the owner’s.'),
    owner: z.string(),
    admins: z.array(z.string()),
    requested_scopes: z.array(z.string()),
    grant: grant.nullable().describe('The consent behind it; null before the first.'),
    created_at: instant,
    updated_at: instant,
  }),
);

export const consentLink = component(
  'ConsentLink',
  z.object({
    url: z
      .url()
      .describe('To be sent to the channel’s owner. Whoever has it can connect a channel: treat it as a secret.'),
    expires_at: instant,
  }),
);

export const channelList = component('ChannelList', z.object({ channels: z.array(channel) }));

export const addedChannel = component('AddedChannel', z.object({ channel, consent_link: consentLink }));

export const consent = component(
  'Consent',
  z.object({
    status: z
      .enum(['pending', 'received', 'completed'])
      .describe('`received`: stored; its checks go on by themselves.'),
    failure: z
      .string()
      .nullable()
      .describe('How the newest try failed; see docs/consent.md. The link can be used again.'),
    started_at: z.iso.datetime().nullable().describe('When the owner last set out for Google.'),
    link_expires_at: z.iso.datetime(),
    invited_by: z.string(),
    invited_at: z.iso.datetime(),
  }),
);

export const shownChannel = component(
  'ShownChannel',
  z.object({ channel, newest_consent: consent.nullable(), workloads: z.array(workload) }),
);

export type ChannelAnswer = z.output<typeof channel>;

export type AddedChannelAnswer = z.output<typeof addedChannel>;

export type ConsentAnswer = z.output<typeof consent>;

export type ShownChannelAnswer = z.output<typeof shownChannel>;

export type ConsentLinkAnswer = z.output<typeof consentLink>;
