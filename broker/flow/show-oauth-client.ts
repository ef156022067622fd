import type { Person } from '../domain/caller.ts';
import type { IncidentKind } from '../domain/client-incident.ts';
import type { ClientSecret, OAuthClientSecrets, Store, StoredOAuthClient } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { oauthClientFor } from './change-oauth-client.ts';

export interface ShownOAuthClient {
  readonly client: StoredOAuthClient;
  /** How many channels use it. */
  readonly channels: number;
  /** In the order in which they are tried, without the secrets themselves. */
  readonly secrets: readonly Omit<ClientSecret, 'secret'>[];
  /** The kinds of its open incidents. */
  readonly incidents: readonly IncidentKind[];
}

/** Shows an OAuth client to an operator. */
export function createShowOAuthClient(deps: { authorize: Authorize; store: Store; secrets: OAuthClientSecrets }) {
  const { authorize, store, secrets } = deps;

  return async (caller: Person, input: { name: string }): Promise<ShownOAuthClient> => {
    const client = await oauthClientFor(deps, caller, 'oauth-client.show', input.name);
    await authorize.looked(caller, 'oauth-client.show', {});
    const [counts, newest, former, open] = await Promise.all([
      store.oauthClients.channelCounts(),
      secrets.newest(client.name),
      secrets.former(client.name),
      store.clientIncidents.open(),
    ]);
    const shown = [newest, ...former].map(({ version, createdAt }) => ({ version, createdAt }));
    const incidents = open.filter(({ oauthClient }) => oauthClient === client.name).map(({ kind }) => kind);
    return { client, channels: counts.get(client.name) ?? 0, secrets: shown, incidents };
  };
}
