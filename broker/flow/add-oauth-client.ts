import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Publishing } from '../domain/oauth-client.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, DpopKeys, OAuthClientSecrets, Store, StoredOAuthClient } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { checkName, invalid } from './input.ts';

export interface NewOAuthClient {
  readonly name: string;
  readonly clientId: string;
  readonly clientSecret: Secret<string>;
  /** Bind the client's grants to a key in Vault (RFC 9449). */
  readonly dpop: boolean;
  readonly publishing: Publishing;
}

/** Adds an OAuth client: its secret goes to Vault KV, its DPoP key is made in transit, the rest to the database. */
export function createAddOAuthClient(deps: {
  authorize: Authorize;
  store: Store;
  secrets: OAuthClientSecrets;
  dpopKeys: DpopKeys;
  clock: Clock;
}) {
  const { authorize, store, secrets, dpopKeys, clock } = deps;

  return async (caller: Person, input: NewOAuthClient): Promise<StoredOAuthClient> => {
    await authorize.operator(caller, 'oauth-client.add');
    checkName('name', input.name);
    if (!/^[\x21-\x7e]{1,256}$/.test(input.clientId)) throw invalid('client_id: 1 to 256 printable characters');
    if (!/^[\x21-\x7e]{1,512}$/.test(input.clientSecret.reveal())) {
      throw invalid('client_secret: 1 to 512 printable characters without spaces');
    }
    if (await store.oauthClients.find(input.name)) throw new BrokerError('ALREADY_EXISTS');
    const { name, clientId, dpop, publishing } = input;
    const client = { name, clientId, dpop, publishing, createdAt: clock.now() };
    await storeSecret(secrets, client.name, input.clientSecret);
    if (client.dpop) await dpopKeys.create(client.name);
    const facts = { oauthClient: name, clientId, dpop, publishing };
    await store.oauthClients.create(client, auditRecord(clock.now(), caller, 'oauth-client.add', 'ok', {}, facts));
    return client;
  };
}

/** A try that was cut off after the secret had been stored must not block the next one with the same secret. */
async function storeSecret(secrets: OAuthClientSecrets, name: string, secret: Secret<string>): Promise<void> {
  try {
    await secrets.create(name, secret);
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'ALREADY_EXISTS') throw error;
    const stored = await secrets.newest(name);
    if (stored.secret.reveal() !== secret.reveal()) throw error;
  }
}
