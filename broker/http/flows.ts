/** The flows that people reach over HTTP. */
import type { createAddChannel } from '../flow/add-channel.ts';
import type { createAddOAuthClient } from '../flow/add-oauth-client.ts';
import type { createAllowWorkload } from '../flow/allow-workload.ts';
import type { createBeginConsent } from '../flow/begin-consent.ts';
import type { createCompleteConsent } from '../flow/complete-consent.ts';
import type { createCreateTenant } from '../flow/create-tenant.ts';
import type { createInviteConsent } from '../flow/invite-consent.ts';
import type { createListChannels } from '../flow/list-channels.ts';
import type { createListOAuthClients } from '../flow/list-oauth-clients.ts';
import type { createListTenants } from '../flow/list-tenants.ts';
import type { createShowChannel } from '../flow/show-channel.ts';
import type { createViewConsent } from '../flow/view-consent.ts';

/** What owners do in a browser. */
export interface ConsentFlows {
  readonly viewConsent: ReturnType<typeof createViewConsent>;
  readonly beginConsent: ReturnType<typeof createBeginConsent>;
  readonly completeConsent: ReturnType<typeof createCompleteConsent>;
}

/** What admins do through the API. */
export interface AdminFlows {
  readonly createTenant: ReturnType<typeof createCreateTenant>;
  readonly listTenants: ReturnType<typeof createListTenants>;
  readonly addOAuthClient: ReturnType<typeof createAddOAuthClient>;
  readonly listOAuthClients: ReturnType<typeof createListOAuthClients>;
  readonly addChannel: ReturnType<typeof createAddChannel>;
  readonly listChannels: ReturnType<typeof createListChannels>;
  readonly showChannel: ReturnType<typeof createShowChannel>;
  readonly inviteConsent: ReturnType<typeof createInviteConsent>;
  readonly allowWorkload: ReturnType<typeof createAllowWorkload>;
  /** Audits that somebody showed an identity that is not good. Throws AUDIT_UNAVAILABLE. */
  readonly recordDeniedIdentity: (denied: DeniedIdentity) => Promise<void>;
}

export interface DeniedIdentity {
  readonly ip: string | undefined;
  readonly requestId: string;
  /** What was wrong, in words; never the token. */
  readonly detail: string;
}

export type Flows = ConsentFlows & AdminFlows;
