/**
 * The whole product on real parts, for scenario tests: Vault, PostgreSQL, Redis, the practice Google, a broker, an admin
 * with an identity token, and a tenant with an OAuth client. Broker and practice Google share one clock:
 * `world.google.advance(ms)` moves both.
 */

import type { Channel } from '../../broker/domain/channel.ts';
import type { Store } from '../../broker/ports.ts';
import { createStore } from '../../broker/store/store.ts';
import { createSigningKey } from '../fake-google/jwt.ts';
import { type PracticeGoogle, type PracticeGoogleOptions, startPracticeGoogle } from '../fake-google/server.ts';
import type { ConsentChoices } from '../fake-google/walk-consent.ts';
import type { ClientSettings } from '../fake-google/world.ts';
import { type RunningBroker, useBroker } from './broker.ts';
import { createOwnerBrowser, type OwnerBrowser, type Page } from './owner-browser.ts';
import { atEnd, type Scope } from './scope.ts';
import { simulatedTime } from './simulated-time.ts';
import { useConnection, useMigratedDatabase } from './store.ts';
import { createPerson, type Person } from './vault-people.ts';
import { type SetUpVault, useSetUpVault } from './vault-set-up.ts';

export const owner = { account: 'owner@example.com', channel: { id: 'UCmain', title: 'Main channel' } } as const;

export interface WorldOptions {
  readonly google?: PracticeGoogleOptions;
  /** Of the tenant's OAuth client at Google. */
  readonly client?: Partial<ClientSettings>;
  /** Whether the broker binds its grants by DPoP. */
  readonly dpop?: boolean;
  /** Settings of the broker that differ from the usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly vault?: SetUpVault;
  readonly databaseUrl?: string;
  readonly redisUrl?: string;
  /** Whether the broker's pauses move the clock in place of waiting, and its chances depend on the clock alone. */
  readonly simulated?: boolean;
}

export interface World {
  readonly google: PracticeGoogle;
  readonly vault: SetUpVault;
  readonly broker: RunningBroker;
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
  /** A look into the database beside the broker. */
  readonly store: Store;
  readonly admin: Person;
  /** Calls the admin API as the admin; throws where the answer is not 2xx. */
  api<T = Record<string, unknown>>(method: 'GET' | 'POST', path: string, body?: object): Promise<T>;
  /** Adds a channel and answers its id and its consent link. */
  addChannel(name?: string, change?: object): Promise<{ readonly id: string; readonly consentLink: string }>;
  /** Goes through a consent to its end, by default as the owner would; answers the last page. */
  consent(consentLink: string, choices?: Partial<ConsentChoices>, browser?: OwnerBrowser): Promise<Page>;
  /** Adds a channel and has its owner consent. */
  connectedChannel(name?: string): Promise<string>;
  /** The channel as the store has it. */
  channel(id: string): Promise<Channel>;
}

/** One for all: making an RSA key takes longer than all the rest. */
const signingKey = createSigningKey('practice-google-1');
export const tenant = 'acme';
export const oauthClient = 'uploads';

export async function useWorld(scope: Scope, options: WorldOptions = {}): Promise<World> {
  const [google, vault, databaseUrl] = await Promise.all([
    startPracticeGoogle({ signingKey, ...options.google }),
    options.vault ?? useSetUpVault(scope),
    options.databaseUrl ?? useMigratedDatabase(scope),
  ]);
  atEnd(scope, () => google.close());
  // Of its own: joining a group is read and write, and other test files use this Vault at the same time.
  const operatorsGroup = `${vault.layout.mounts.transit}-operators`;
  const broker = await useBroker(scope, {
    vault,
    google,
    databaseUrl,
    redisUrl: options.redisUrl,
    clock: { now: () => new Date(google.now()) },
    ...(options.simulated && simulatedTime(google)),
    settings: { BROKER_OPERATORS_GROUP: operatorsGroup, ...options.settings },
  });
  google.addAccount({ email: owner.account, channels: [{ ...owner.channel, kind: 'personal' }] });
  google.addClient({
    clientId: 'client-1.apps.example',
    clientSecret: 'client-secret-1',
    redirectUris: [broker.redirectUri],
    ...options.client,
  });
  const store = createStore({ database: useConnection(scope, databaseUrl) });
  const admin = await createPerson(vault, { name: `ada-${vault.layout.mounts.transit}`, groups: [operatorsGroup] });
  const identityToken = await admin.identityToken();

  const world: World = {
    google,
    vault,
    broker,
    databaseUrl,
    redisUrl: options.redisUrl,
    store,
    admin,
    async api<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
      const response = await fetch(`${broker.publicUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${identityToken}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      const answer = (await response.json()) as T;
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async addChannel(name = 'main', change = {}) {
      const body = { tenant, name, oauth_client: oauthClient, ...change };
      const added = await world.api<{ channel: { id: string }; consent_link: { url: string } }>(
        'POST',
        '/v1/channels',
        body,
      );
      return { id: added.channel.id, consentLink: added.consent_link.url };
    },
    async consent(consentLink, choices = {}, browser = createOwnerBrowser()) {
      const callbackUrl = await google.consent(await browser.start(consentLink), {
        account: owner.account,
        ...choices,
      });
      return browser.open(callbackUrl);
    },
    async connectedChannel(name) {
      const { id, consentLink } = await world.addChannel(name);
      const page = await world.consent(consentLink);
      const { state } = await world.channel(id);
      if (state !== 'active') throw new Error(`the consent did not work: ${page.text}`);
      return id;
    },
    async channel(id) {
      const channel = await store.channels.find(id);
      if (!channel) throw new Error(`no channel ${id}`);
      return channel;
    },
  };
  await world.api('POST', '/v1/tenants', { name: tenant, admins: [] });
  const { clientId = 'client-1.apps.example', clientSecret = 'client-secret-1' } = options.client ?? {};
  const added = { name: oauthClient, client_id: clientId, client_secret: clientSecret, dpop: options.dpop ?? false };
  await world.api('POST', '/v1/oauth-clients', added);
  return world;
}
