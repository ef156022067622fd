import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Publishing } from '../domain/oauth-client.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, DpopKeys, Store, StoredOAuthClient } from '../ports.ts';
import type { Authorize } from './authorize.ts';

export interface ChangeOAuthClientDeps {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly dpopKeys: DpopKeys;
  readonly clock: Clock;
}

/** Finds an OAuth client for an operator; the refusal of anybody else is on record. */
export async function oauthClientFor(
  { authorize, store }: Pick<ChangeOAuthClientDeps, 'authorize' | 'store'>,
  caller: Person,
  action: AuditAction,
  name: string,
): Promise<StoredOAuthClient> {
  await authorize.operator(caller, action);
  const client = await store.oauthClients.find(name);
  if (!client) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND');
  return client;
}

/**
 * Switches an OAuth client off or on. While it is off nobody consents with it and nothing is refreshed with it; tokens
 * that are valid are served, and no channel changes its state.
 */
export function createEnableOAuthClient(deps: ChangeOAuthClientDeps & { readonly onEnabled: () => void }) {
  return async (caller: Person, input: { name: string; enabled: boolean }): Promise<StoredOAuthClient> => {
    const action = input.enabled ? 'oauth-client.enable' : 'oauth-client.disable';
    const client = await oauthClientFor(deps, caller, action, input.name);
    const now = deps.clock.now();
    const disabledAt = input.enabled ? undefined : (client.disabledAt ?? now);
    const record = auditRecord(now, caller, action, 'ok', {}, { oauthClient: client.name });
    await deps.store.oauthClients.change(client.name, { disabledAt }, record);
    if (input.enabled) deps.onEnabled();
    return asItIs(deps, client);
  };
}

/** Says whether new consents are bound by DPoP. A grant that is bound stays bound, and one that is not stays so. */
export function createSetDpop(deps: ChangeOAuthClientDeps) {
  return async (caller: Person, input: { name: string; dpop: boolean }): Promise<StoredOAuthClient> => {
    const client = await oauthClientFor(deps, caller, 'oauth-client.set-dpop', input.name);
    if (input.dpop) await deps.dpopKeys.create(client.name);
    const facts = { oauthClient: client.name, dpop: input.dpop };
    const record = auditRecord(deps.clock.now(), caller, 'oauth-client.set-dpop', 'ok', {}, facts);
    await deps.store.oauthClients.change(client.name, { dpop: input.dpop }, record);
    return asItIs(deps, client);
  };
}

/** Says which publishing status the client has at Google: why its grants end is read from it, and nothing else. */
export function createSetPublishing(deps: Omit<ChangeOAuthClientDeps, 'dpopKeys'>) {
  return async (caller: Person, input: { name: string; publishing: Publishing }): Promise<StoredOAuthClient> => {
    const client = await oauthClientFor(deps, caller, 'oauth-client.set-publishing', input.name);
    const facts = { oauthClient: client.name, publishing: input.publishing };
    const record = auditRecord(deps.clock.now(), caller, 'oauth-client.set-publishing', 'ok', {}, facts);
    await deps.store.oauthClients.change(client.name, { publishing: input.publishing }, record);
    return asItIs(deps, client);
  };
}

async function asItIs(
  { store }: Pick<ChangeOAuthClientDeps, 'store'>,
  client: StoredOAuthClient,
): Promise<StoredOAuthClient> {
  return (await store.oauthClients.find(client.name)) ?? client;
}
