/** A world for revocations: Google accounts of their own, several OAuth clients of a Google project, and ways to revoke. */
import assert from 'node:assert/strict';
import type { RevocationPlanAnswer, RevocationStatusAnswer } from '../../broker/http/api/schemas.ts';
import type { ClientSettings } from '../fake-google/world.ts';
import { type RunningBroker, useBroker } from './broker.ts';
import type { Scope } from './scope.ts';
import { createPerson, type Person } from './vault-people.ts';
import { useWorld, type World, type WorldOptions } from './world.ts';

export const revocations = { endpoint: 'revocation' } as const;
export const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;
export const reason = 'contract ended';
/** The number that a client id begins with is that of its Google project. */
const mainClient = '1234-main.apps.example';
const secret = 'client-secret-1';

export type RevokeWorld = Awaited<ReturnType<typeof useRevokeWorld>>;

export async function useRevokeWorld(scope: Scope, options: WorldOptions = {}) {
  const world = await useWorld(scope, { ...options, client: { clientId: mainClient, ...options.client } });

  /** Calls the API as somebody; answers status and body. */
  async function call<T>(who: Person, method: 'GET' | 'POST', path: string, body?: object) {
    const response = await fetch(`${world.broker.publicUrl}/v1/channels/${path}`, {
      method,
      headers: { authorization: `Bearer ${await who.identityToken()}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const answer = (await response.json()) as T & { readonly error?: { readonly code: string } };
    return { status: response.status, body: answer, code: answer.error?.code ?? 'ok' };
  }

  return {
    ...world,
    call,
    /** An OAuth client of the broker and of Google; `id` tells the project. */
    async addClient(name: string, id: string, change: Partial<ClientSettings> = {}) {
      const clientId = `${id}-${name}.apps.example`;
      world.google.addClient({
        clientId,
        clientSecret: secret,
        redirectUris: [world.broker.redirectUri],
        project: id === '1234' ? 'practice-project' : `project-${id}`,
        ...change,
      });
      await world.api('POST', '/v1/oauth-clients', { name, client_id: clientId, client_secret: secret, dpop: false });
    },
    addTenant: (name: string, admins: readonly string[] = []) => world.api('POST', '/v1/tenants', { name, admins }),
    /** A channel of the account's own, connected. */
    async connect(name: string, account: string, change: object = {}): Promise<string> {
      addAccount(world, account);
      const { id, consentLink } = await world.addChannel(name, change);
      await world.consent(consentLink, { account: `${account}@example.com` });
      assert.equal((await world.channel(id)).state, 'active');
      return id;
    },
    /** The owner consents once more. */
    async reconsent(id: string, account: string): Promise<void> {
      const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
      await world.consent(url, { account: `${account}@example.com` });
    },
    plan: (id: string) => world.api<RevocationPlanAnswer>('GET', `/v1/channels/${id}/revocation/plan`),
    status: (id: string) => world.api<RevocationStatusAnswer>('GET', `/v1/channels/${id}/revocation`),
    /** Looks, agrees to what is seen, and revokes. */
    async revoke(id: string): Promise<RevocationStatusAnswer> {
      const { digest } = await world.api<RevocationPlanAnswer>('GET', `/v1/channels/${id}/revocation/plan`);
      return world.api('POST', `/v1/channels/${id}/revocation`, { plan: digest, reason });
    },
    async outcome(id: string) {
      return (await world.store.revocations.find(id))?.outcome;
    },
    async standing(id: string): Promise<string> {
      const { state, reason: why } = await world.channel(id);
      return `${state} ${why}`;
    },
    /** Asked of Google since the last reset. */
    revocationsSent: () => world.google.counts.requests(revocations),
    stranger: (name: string) =>
      createPerson(world.vault, { name: `${name}-${world.vault.layout.mounts.transit}`, groups: [] }),
  };
}

/** Another broker on the same parts. */
export function useSecondBroker(scope: Scope, world: World): Promise<RunningBroker> {
  return useBroker(scope, {
    vault: world.vault,
    google: world.google,
    databaseUrl: world.databaseUrl,
    redisUrl: world.redisUrl,
    clock: { now: () => new Date(world.google.now()) },
  });
}

/** The same account each time: an entry of the same name takes the place of the former. */
function addAccount({ google }: World, account: string): void {
  const channels = [{ id: `UC${account}`, title: `Of ${account}`, kind: 'personal' }] as const;
  google.addAccount({ email: `${account}@example.com`, sub: `sub-${account}`, channels });
}
