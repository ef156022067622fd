/** Who may do what in the admin API, as data: each rule is tried as everybody. */
import { type NewNotification, notificationId } from '../../broker/domain/notification.ts';
import { oauthClient } from './world.ts';

export type Who = 'operator' | 'auditor' | 'tenant admin' | 'admin by group' | 'owner' | 'channel admin' | 'stranger';
export const everybody: readonly Who[] = [
  'operator',
  'auditor',
  'tenant admin',
  'admin by group',
  'owner',
  'channel admin',
  'stranger',
];
export const ofTheTenant: readonly Who[] = ['tenant admin', 'admin by group'];
export const ofTheChannel: readonly Who[] = [...ofTheTenant, 'owner', 'channel admin'];
/** The tenant that the rules are about. */
export const ruledTenant = 'north';

export interface Rule {
  readonly act: string;
  readonly method: 'GET' | 'POST';
  readonly path: (channel: string) => string;
  readonly body?: (who: Who) => object;
  readonly action: string;
  readonly allowed: readonly Who[];
  readonly refused: 'ACCESS_DENIED' | 'TENANT_NOT_FOUND' | 'CHANNEL_NOT_FOUND' | 'NOTIFICATION_NOT_FOUND';
}

/** The notification that the rules are about. */
export const ruledNotification: NewNotification = {
  type: 'oauth_client.incident',
  occasion: 'ruled',
  at: new Date('2026-03-01T12:00:00Z'),
  tenant: ruledTenant,
  oauthClient,
};

/** The name of the person. */
export const nameOf = (who: Who): string => who.replaceAll(' ', '-');

export const rules: readonly Rule[] = [
  {
    act: 'create a tenant',
    method: 'POST',
    path: () => '/v1/tenants',
    body: (who) => ({ name: `of-${nameOf(who)}`, admins: [] }),
    action: 'tenant.create',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'add an OAuth client',
    method: 'POST',
    path: () => '/v1/oauth-clients',
    body: (who) => ({ name: `of-${nameOf(who)}`, client_id: 'id.example', client_secret: 'secret-1', dpop: false }),
    action: 'oauth-client.add',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'list the OAuth clients',
    method: 'GET',
    path: () => '/v1/oauth-clients',
    action: 'oauth-client.list',
    allowed: ['operator', ...ofTheTenant],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'show an OAuth client',
    method: 'GET',
    path: () => `/v1/oauth-clients/${oauthClient}`,
    action: 'oauth-client.show',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'list the replicas',
    method: 'GET',
    path: () => '/v1/replicas',
    action: 'replica.list',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'switch an OAuth client on',
    method: 'POST',
    path: () => `/v1/oauth-clients/${oauthClient}/enable`,
    action: 'oauth-client.enable',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'set DPoP',
    method: 'POST',
    path: () => `/v1/oauth-clients/${oauthClient}/dpop`,
    body: () => ({ dpop: false }),
    action: 'oauth-client.set-dpop',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'rotate a DPoP key',
    method: 'POST',
    path: () => `/v1/oauth-clients/${oauthClient}/dpop-key/rotate`,
    action: 'oauth-client.rotate-dpop-key',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'rotate a client secret',
    method: 'POST',
    path: () => `/v1/oauth-clients/${oauthClient}/secrets`,
    body: () => ({ client_secret: 'client-secret-1' }),
    action: 'oauth-client.rotate-secret',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'retire client secrets',
    method: 'POST',
    path: () => `/v1/oauth-clients/${oauthClient}/secrets/retire`,
    body: () => ({ force: true }),
    action: 'oauth-client.retire-secret',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'list the notifications of a tenant',
    method: 'GET',
    path: () => `/v1/notifications?tenant=${ruledTenant}`,
    action: 'notification.list',
    allowed: ['operator', ...ofTheTenant],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'list the notifications of all tenants, or of their own',
    method: 'GET',
    path: () => '/v1/notifications?state=dead',
    action: 'notification.list',
    allowed: ['operator', ...ofTheTenant],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'show a notification',
    method: 'GET',
    path: () => `/v1/notifications/${notificationId(ruledNotification)}`,
    action: 'notification.show',
    allowed: ['operator', ...ofTheTenant],
    refused: 'NOTIFICATION_NOT_FOUND',
  },
  {
    act: 'have a notification delivered again',
    method: 'POST',
    path: () => `/v1/notifications/${notificationId(ruledNotification)}/resend`,
    action: 'notification.resend',
    allowed: ['operator', ...ofTheTenant],
    refused: 'NOTIFICATION_NOT_FOUND',
  },
  {
    act: 'change the signing secret of notifications',
    method: 'POST',
    path: () => '/v1/notification-secrets',
    body: () => ({ secret: `whsec_${Buffer.alloc(32, 5).toString('base64')}` }),
    action: 'notification.set-secret',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'add a channel',
    method: 'POST',
    path: () => '/v1/channels',
    body: (who) => ({ tenant: ruledTenant, name: `of-${nameOf(who)}`, oauth_client: oauthClient }),
    action: 'channel.add',
    allowed: ofTheTenant,
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'show a channel',
    method: 'GET',
    path: (channel) => `/v1/channels/${channel}`,
    action: 'channel.show',
    allowed: ofTheChannel,
    refused: 'CHANNEL_NOT_FOUND',
  },
  {
    act: 'make a consent link',
    method: 'POST',
    path: (channel) => `/v1/channels/${channel}/consent-links`,
    action: 'consent.invite',
    allowed: ofTheChannel,
    refused: 'CHANNEL_NOT_FOUND',
  },
  {
    act: 'let a workload in',
    method: 'POST',
    path: (channel) => `/v1/channels/${channel}/workloads`,
    body: () => ({ spiffe_id: 'spiffe://media.example/workload/any', reason: 'try' }),
    action: 'workload.allow',
    allowed: ofTheChannel,
    refused: 'CHANNEL_NOT_FOUND',
  },
  {
    act: 'rotate a tenant’s key',
    method: 'POST',
    path: () => `/v1/tenants/${ruledTenant}/key/rotate`,
    action: 'tenant.key-rotate',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'raise the minimum version of a tenant’s key',
    method: 'POST',
    path: () => `/v1/tenants/${ruledTenant}/key/min-version`,
    body: () => ({}),
    action: 'tenant.key-min-version',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'put a tenant’s key on a schedule',
    method: 'POST',
    path: () => `/v1/tenants/${ruledTenant}/key/schedule`,
    body: () => ({ rotate_every_seconds: 7_776_000 }),
    action: 'tenant.key-schedule',
    allowed: ['operator'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'look at a tenant’s key',
    method: 'GET',
    path: () => `/v1/tenants/${ruledTenant}/key`,
    action: 'tenant.key-status',
    allowed: ['operator', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'see what the shredding of a tenant would destroy',
    method: 'GET',
    path: () => `/v1/tenants/${ruledTenant}/shred/plan`,
    action: 'tenant.shred-plan',
    allowed: ['operator', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'see how far the shredding of a tenant is',
    method: 'GET',
    path: () => `/v1/tenants/${ruledTenant}/shred`,
    action: 'tenant.shred-status',
    allowed: ['operator', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'list the record of a tenant',
    method: 'GET',
    path: () => `/v1/audit/records?tenant=${ruledTenant}`,
    action: 'audit.list',
    allowed: ['auditor', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'follow the record of a tenant',
    method: 'GET',
    path: () => `/v1/audit/records?tenant=${ruledTenant}&after=0`,
    action: 'audit.follow',
    allowed: ['auditor', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'export the record of a tenant',
    method: 'GET',
    path: () => `/v1/audit/export?tenant=${ruledTenant}`,
    action: 'audit.export',
    allowed: ['auditor', ...ofTheTenant],
    refused: 'TENANT_NOT_FOUND',
  },
  {
    act: 'list the record of the installation',
    method: 'GET',
    path: () => '/v1/audit/records',
    action: 'audit.list',
    allowed: ['operator', 'auditor'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'follow the record of the installation',
    method: 'GET',
    path: () => '/v1/audit/records?after=0',
    action: 'audit.follow',
    allowed: ['operator', 'auditor'],
    refused: 'ACCESS_DENIED',
  },
  {
    act: 'export the record of the installation',
    method: 'GET',
    path: () => '/v1/audit/export',
    action: 'audit.export',
    allowed: ['operator', 'auditor'],
    refused: 'ACCESS_DENIED',
  },
];
