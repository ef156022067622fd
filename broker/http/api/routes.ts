/** The admin API, route by route. */
import { Secret } from '../../domain/secret.ts';
import { auditRoutes } from './audit-routes.ts';
import { incidentRoutes } from './incident-routes.ts';
import { notificationRoutes } from './notification-routes.ts';
import { replicaRoutes } from './replica-routes.ts';
import { revocationRoutes } from './revocation-routes.ts';
import { type Route, route } from './route.ts';
import * as wire from './schemas.ts';
import { shredRoutes } from './shred-routes.ts';
import { tenantKeyRoutes } from './tenant-key-routes.ts';
import {
  viewChannel,
  viewConsent,
  viewConsentLink,
  viewOAuthClient,
  viewPerson,
  viewRotatedSecret,
  viewShownOAuthClient,
  viewTenant,
} from './views.ts';
import { viewWorkload, workloadRoutes } from './workload-routes.ts';

export const routes: readonly Route[] = [
  route(
    {
      method: 'get',
      path: '/v1/whoami',
      operationId: 'whoami',
      summary: 'Shows who you are to the broker.',
      status: 200,
    },
    { answer: wire.whoami },
    async ({ caller }) => viewPerson(caller),
  ),
  route(
    {
      method: 'get',
      path: '/v1/tenants',
      operationId: 'listTenants',
      summary: 'Lists the tenants you may see.',
      status: 200,
    },
    { answer: wire.tenantList },
    async ({ caller }, { flows }) => ({ tenants: (await flows.listTenants(caller)).map(viewTenant) }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/tenants',
      operationId: 'createTenant',
      summary: 'Creates a tenant and its key. For operators.',
      status: 201,
    },
    { body: wire.newTenant, answer: wire.tenant },
    async ({ caller, body }, { flows }) => viewTenant(await flows.createTenant(caller, body)),
  ),
  ...shredRoutes,
  route(
    {
      method: 'get',
      path: '/v1/oauth-clients',
      operationId: 'listOAuthClients',
      summary: 'Lists the OAuth clients, without secrets.',
      status: 200,
    },
    { answer: wire.oauthClientList },
    async ({ caller }, { flows }) => ({
      oauth_clients: (await flows.listOAuthClients(caller)).map((client) =>
        viewOAuthClient(client, client.channels, client.incidents),
      ),
    }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients',
      operationId: 'addOAuthClient',
      summary: 'Adds an OAuth client; its secret goes to Vault. For operators.',
      status: 201,
    },
    { body: wire.newOAuthClient, answer: wire.oauthClient },
    async ({ caller, body }, { flows }) => {
      const { name, client_id: clientId, client_secret, dpop, publishing } = body;
      return viewOAuthClient(
        await flows.addOAuthClient(caller, {
          name,
          clientId,
          clientSecret: new Secret(client_secret),
          dpop,
          publishing,
        }),
      );
    },
  ),
  route(
    {
      method: 'get',
      path: '/v1/oauth-clients/{oauth_client}',
      operationId: 'showOAuthClient',
      summary: 'Shows an OAuth client and which secrets are tried. For operators.',
      status: 200,
    },
    { answer: wire.shownOAuthClient },
    async ({ caller, oauthClient: name }, { flows }) =>
      viewShownOAuthClient(await flows.showOAuthClient(caller, { name })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/disable',
      operationId: 'disableOAuthClient',
      summary: 'Switches an OAuth client off: no consents, no refreshes. For operators.',
      status: 200,
    },
    { answer: wire.oauthClient },
    async ({ caller, oauthClient: name }, { flows }) =>
      viewOAuthClient(await flows.enableOAuthClient(caller, { name, enabled: false })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/enable',
      operationId: 'enableOAuthClient',
      summary: 'Switches an OAuth client on again. For operators.',
      status: 200,
    },
    { answer: wire.oauthClient },
    async ({ caller, oauthClient: name }, { flows }) =>
      viewOAuthClient(await flows.enableOAuthClient(caller, { name, enabled: true })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/dpop',
      operationId: 'setDpop',
      summary: 'Says whether new grants are bound by DPoP. For operators.',
      status: 200,
    },
    { body: wire.dpopChoice, answer: wire.oauthClient },
    async ({ caller, oauthClient: name, body }, { flows }) =>
      viewOAuthClient(await flows.setDpop(caller, { name, dpop: body.dpop })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/publishing',
      operationId: 'setPublishing',
      summary: 'Says which publishing status it has at Google. For operators.',
      status: 200,
    },
    { body: wire.publishingChoice, answer: wire.oauthClient },
    async ({ caller, oauthClient: name, body }, { flows }) =>
      viewOAuthClient(await flows.setPublishing(caller, { name, publishing: body.publishing })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/dpop-key/rotate',
      operationId: 'rotateDpopKey',
      summary: 'Makes a new version of the DPoP key for new grants. For operators.',
      status: 200,
    },
    { answer: wire.rotatedKey },
    async ({ caller, oauthClient: name }, { flows }) => flows.rotateDpopKey(caller, { name }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/secrets',
      operationId: 'rotateClientSecret',
      summary: 'Puts a new secret in front; the former one stays as the fall-back. For operators.',
      status: 201,
    },
    { body: wire.newClientSecret, answer: wire.rotatedSecret },
    async ({ caller, oauthClient: name, body }, { flows }) =>
      viewRotatedSecret(await flows.rotateClientSecret(caller, { name, clientSecret: new Secret(body.client_secret) })),
  ),
  route(
    {
      method: 'post',
      path: '/v1/oauth-clients/{oauth_client}/secrets/retire',
      operationId: 'retireClientSecrets',
      summary: 'Ends the former secrets. For operators.',
      status: 200,
    },
    { body: wire.secretRetirement, answer: wire.rotatedSecret },
    async ({ caller, oauthClient: name, body }, { flows }) =>
      viewRotatedSecret(await flows.retireClientSecrets(caller, { name, force: body.force })),
  ),
  ...incidentRoutes,
  route(
    {
      method: 'get',
      path: '/v1/channels',
      operationId: 'listChannels',
      summary: 'Lists the channels you may act on.',
      status: 200,
    },
    { query: wire.channelFilter, answer: wire.channelList },
    async ({ caller, query }, { flows }) => ({
      channels: (await flows.listChannels(caller, defined(query))).map(viewChannel),
    }),
  ),
  route(
    {
      method: 'post',
      path: '/v1/channels',
      operationId: 'addChannel',
      summary: 'Adds a channel and makes the link by which its owner consents.',
      status: 201,
    },
    { body: wire.newChannel, answer: wire.addedChannel },
    async ({ caller, body }, { flows, publicUrl }) => {
      const { oauth_client: oauthClient, ...rest } = body;
      const { channel, consentLink } = await flows.addChannel(caller, { oauthClient, ...rest });
      return { channel: viewChannel(channel), consent_link: viewConsentLink(consentLink, publicUrl) };
    },
  ),
  route(
    {
      method: 'get',
      path: '/v1/channels/{channel}',
      operationId: 'showChannel',
      summary: 'Shows a channel and who may read its tokens.',
      status: 200,
    },
    { answer: wire.shownChannel },
    async ({ caller, channel: id }, { flows }) => {
      const { channel, consent, workloads } = await flows.showChannel(caller, { channel: id });
      return {
        channel: viewChannel(channel),
        newest_consent: consent ? viewConsent(consent) : null,
        workloads: workloads.map(viewWorkload),
      };
    },
  ),
  route(
    {
      method: 'post',
      path: '/v1/channels/{channel}/consent-links',
      operationId: 'inviteConsent',
      summary: 'Makes a new consent link for the channel’s owner.',
      status: 201,
    },
    { answer: wire.consentLink },
    async ({ caller, channel }, { flows, publicUrl }) =>
      viewConsentLink(await flows.inviteConsent(caller, { channel }), publicUrl),
  ),
  ...workloadRoutes,
  ...revocationRoutes,
  ...tenantKeyRoutes,
  ...notificationRoutes,
  ...auditRoutes,
  ...replicaRoutes,
];

/** Leaves out what is undefined: an absent filter and one of undefined are not the same to the store. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
