/** The flows that people reach over HTTP. */
import type { Flows as AllFlows } from '../flow/flows.ts';

/** What owners do in a browser. */
export type ConsentFlows = Pick<AllFlows, 'viewConsent' | 'beginConsent' | 'completeConsent'> & {
  readonly revokeByOwner: Pick<AllFlows['revokeByOwner'], 'view' | 'revoke'>;
};

/** What admins do through the API. */
export type AdminFlows = Pick<
  AllFlows,
  | 'createTenant'
  | 'listTenants'
  | 'showTenantKey'
  | 'changeTenantKey'
  | 'shredTenant'
  | 'addOAuthClient'
  | 'listOAuthClients'
  | 'showOAuthClient'
  | 'enableOAuthClient'
  | 'setDpop'
  | 'setPublishing'
  | 'rotateClientSecret'
  | 'retireClientSecrets'
  | 'rotateDpopKey'
  | 'oauthClientIncidents'
  | 'addChannel'
  | 'listChannels'
  | 'showChannel'
  | 'inviteConsent'
  | 'allowWorkload'
  | 'manageWorkloads'
  | 'denyWorkload'
  | 'suspendChannel'
  | 'revokeChannel'
  | 'revokeByOwner'
  | 'audit'
  | 'manageNotifications'
  | 'listReplicas'
  | 'acceptRestore'
  | 'recordLogin'
  | 'recordDeniedIdentity'
>;

export type Flows = ConsentFlows & AdminFlows & Pick<AllFlows, 'receiveSecurityEvent'>;
