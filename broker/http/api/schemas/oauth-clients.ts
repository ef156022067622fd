/** OAuth clients on the wire. */
import * as z from 'zod';
import { incidentKinds } from '../../../domain/client-incident.ts';
import { publishingStatuses } from '../../../domain/oauth-client.ts';
import { component, instant, name } from './common.ts';

const publishing = z
  .enum(publishingStatuses)
  .describe('Publishing status at Google. Refresh tokens of a client in testing end after seven days.');

export const newOAuthClient = component(
  'NewOAuthClient',
  z.strictObject({
    name: name.describe('Ours; names the secret in Vault.'),
    client_id: z.string().min(1).max(256).describe('As Google names it.'),
    client_secret: z.string().min(1).max(512).describe('Goes to Vault and is never shown again.'),
    dpop: z.boolean().default(true).describe('Bind grants to a key in Vault (RFC 9449).'),
    publishing: publishing.default('production'),
  }),
);

export const dpopChoice = component('DpopChoice', z.strictObject({ dpop: z.boolean() }));

export const publishingChoice = component('PublishingChoice', z.strictObject({ publishing }));

export const newClientSecret = component(
  'NewClientSecret',
  z.strictObject({
    client_secret: z.string().min(1).max(512).describe('Goes to Vault and is never shown again.'),
  }),
);

export const secretRetirement = component(
  'SecretRetirement',
  z.strictObject({
    force: z.boolean().default(false).describe('Also where Google does not accept the newest secret.'),
  }),
);

export const oauthClient = component(
  'OAuthClient',
  z.object({
    name: z.string(),
    client_id: z.string(),
    dpop: z.boolean().describe('Whether new grants are bound to a key in Vault.'),
    publishing,
    disabled_at: instant.nullable().describe('Since when it is switched off; null where it is in use.'),
    channels: z.int().nullable().describe('How many channels use it, where that is told: to operators.'),
    incidents: z.array(z.enum(incidentKinds)).describe('The kinds of its open incidents.'),
    created_at: instant,
  }),
);

export const shownOAuthClient = component(
  'ShownOAuthClient',
  z.object({
    oauth_client: oauthClient,
    secrets: z
      .array(z.object({ version: z.int().describe('In Vault KV.'), created_at: instant }))
      .describe('In the order in which they are tried.'),
  }),
);

export const rotatedSecret = component(
  'RotatedSecret',
  z.object({
    version: z.int().describe('Of the secret that is tried first now.'),
    accepted: z.boolean().nullable().describe('Whether Google accepts it; null where Google did not answer.'),
  }),
);

export const rotatedKey = component(
  'RotatedKey',
  z.object({ version: z.int().describe('What new grants are bound to.') }),
);

export const oauthClientList = component('OAuthClientList', z.object({ oauth_clients: z.array(oauthClient) }));

export type OAuthClientAnswer = z.output<typeof oauthClient>;

export type ShownOAuthClientAnswer = z.output<typeof shownOAuthClient>;

export type RotatedSecretAnswer = z.output<typeof rotatedSecret>;

export type RotatedKeyAnswer = z.output<typeof rotatedKey>;
