/** A practice Google with the usual inhabitants: one client, one owner with a personal and a brand channel. */

import { createSigningKey } from '../fake-google/jwt.ts';
import { youtubeScope } from '../fake-google/scopes.ts';
import { type PracticeGoogle, type PracticeGoogleOptions, startPracticeGoogle } from '../fake-google/server.ts';
import type { ConsentChoices } from '../fake-google/walk-consent.ts';
import type { Client } from '../fake-google/world.ts';
import { type PlainClient, redeemCode, startConsent, type TokenAnswer } from './plain-oauth-client.ts';
import { atEnd, type Scope } from './scope.ts';

/** The scopes that the broker asks for, space-separated. */
export const usualScope = `openid email ${youtubeScope.upload} ${youtubeScope.readonly}`;

/** The owner and the channels that the usual world has. */
export const owner = {
  email: 'owner@example.com',
  name: 'Olga Owner',
  personal: { id: 'UCpersonal', title: 'Olga at home', kind: 'personal' },
  brand: { id: 'UCbrand', title: 'Brand & Sons', kind: 'brand' },
} as const;

/** The usual parameters of the broker's authorization request. */
export const usualRequest = { scope: usualScope, access_type: 'offline', prompt: 'consent select_account' } as const;

/** The world and the shortest ways through it. */
export interface PracticeWorld {
  readonly google: PracticeGoogle;
  readonly client: PlainClient;
  /** Adds another client and returns it as tests use it. */
  addClient(clientId: string, settings?: Partial<Client>): PlainClient;
  /** Walks a consent; `parameters` change the usual request. Returns the callback URL and the verifier. */
  consent(options?: ConsentOptions): Promise<{ readonly callbackUrl: string; readonly verifier: string }>;
  /** Walks a consent and redeems its code. */
  grant(options?: ConsentOptions): Promise<TokenAnswer>;
}

/** How a consent differs from the usual one. */
export interface ConsentOptions {
  readonly client?: PlainClient;
  readonly parameters?: Readonly<Record<string, string | undefined>>;
  readonly choices?: Partial<ConsentChoices>;
}

// Making an RSA key takes longer than most tests; one serves all the worlds of a test file.
const signingKey = createSigningKey('practice-google-1');

const redirectUri = 'http://127.0.0.1:1/callback';

/** Starts the world; it is closed with `scope`. `settings` are the client's. */
export async function startPracticeWorld(
  scope: Scope,
  { options = {}, settings = {} }: { options?: PracticeGoogleOptions; settings?: Partial<Client> } = {},
): Promise<PracticeWorld> {
  const google = await startPracticeGoogle({ signingKey, ...options });
  atEnd(scope, () => google.close());
  google.addAccount({ email: owner.email, name: owner.name, channels: [owner.personal, owner.brand] });

  function addClient(clientId: string, change: Partial<Client> = {}): PlainClient {
    const added = google.addClient({
      clientId,
      clientSecret: `${clientId}-secret`,
      redirectUris: [redirectUri],
      ...change,
    });
    const { authorization: authorizationEndpoint, token: tokenEndpoint } = google.endpoints;
    return { authorizationEndpoint, tokenEndpoint, clientId, clientSecret: added.clientSecret, redirectUri };
  }

  const usualClient = addClient('uploads', settings);

  const world: PracticeWorld = {
    google,
    client: usualClient,
    addClient,
    async consent({ client = usualClient, parameters = {}, choices = {} } = {}) {
      const { url, verifier } = startConsent(client, { ...usualRequest, ...parameters });
      const callbackUrl = await google.consent(url, { account: owner.email, ...choices });
      return { callbackUrl, verifier };
    },
    async grant(given = {}) {
      const { callbackUrl, verifier } = await world.consent(given);
      return redeemCode(given.client ?? usualClient, callbackUrl, verifier);
    },
  };
  return world;
}
