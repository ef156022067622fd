import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import { newId } from '../domain/identifier.ts';
import { defaultScopes, identifyingScopes, missingScopes } from '../domain/scope.ts';
import { BrokerError } from '../errors.ts';
import type { Authorize } from './authorize.ts';
import { checkName, checkPrincipals, invalid } from './input.ts';
import { type ConsentLink, type InvitationDeps, invite } from './invite-consent.ts';

export interface NewChannel {
  readonly tenant: string;
  readonly name: string;
  readonly oauthClient: string;
  readonly region?: string | undefined;
  /** Subject of the owner at the identity provider; the caller where absent. */
  readonly owner?: string | undefined;
  readonly admins?: readonly string[] | undefined;
  readonly scopes?: readonly string[] | undefined;
}

/** Adds a channel that waits for its owner's consent, and makes the first consent link. */
export function createAddChannel(deps: InvitationDeps & { authorize: Authorize; defaultRegion: string }) {
  const { authorize, store, clock, random, defaultRegion } = deps;

  return async (caller: Person, input: NewChannel): Promise<{ channel: Channel; consentLink: ConsentLink }> => {
    const tenant = await authorize.tenant(caller, 'channel.add', input.tenant);
    const scopes = input.scopes ?? defaultScopes;
    check(input, scopes);
    const client = await store.oauthClients.find(input.oauthClient);
    if (!client) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND');
    if (client.disabledAt) throw new BrokerError('OAUTH_CLIENT_DISABLED', { detail: client.name });
    const now = clock.now();
    const channel: Channel = {
      id: newId('ch', random),
      tenant: tenant.name,
      name: input.name,
      region: input.region ?? defaultRegion,
      oauthClient: input.oauthClient,
      state: 'pending_consent',
      reason: 'created',
      owner: input.owner ?? caller.subject,
      admins: input.admins ?? [],
      requestedScopes: scopes,
      grant: undefined,
      createdAt: now,
      updatedAt: now,
    };
    const target = { tenant: channel.tenant, channel: channel.id };
    const facts = { name: channel.name, oauthClient: channel.oauthClient, owner: channel.owner, scopes };
    await store.channels.create(channel, auditRecord(now, caller, 'channel.add', 'ok', target, facts));
    return { channel, consentLink: await invite(deps, caller, channel) };
  };
}

function check(input: NewChannel, scopes: readonly string[]): void {
  checkName('name', input.name);
  checkName('oauth_client', input.oauthClient);
  if (input.region !== undefined) checkName('region', input.region);
  checkPrincipals('admins', input.admins ?? []);
  const odd = scopes.find((scope) => !/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/.test(scope));
  if (odd !== undefined) throw invalid('scopes: a scope has no spaces, quotes or backslashes (RFC 6749 section 3.3)');
  const missing = missingScopes(identifyingScopes, scopes);
  if (missing.length > 0) throw invalid(`scopes: add ${missing.join(' ')}; the channel cannot be identified without`);
}
