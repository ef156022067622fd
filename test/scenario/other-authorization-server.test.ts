/**
 * The broker unchanged at an authorization server that is not ours and not Google's: the certified `oidc-provider`.
 * Nothing but settings names it, and the practice Google, which runs beside it, is never asked.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { freePort } from '../../stack/free-port.ts';
import { youtubeScope } from '../fake-google/scopes.ts';
import { type OidcProvider, type OidcProviderOptions, startOidcProvider } from '../support/oidc-provider.ts';
import { createOwnerBrowser, type Page } from '../support/owner-browser.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { type TestWorkload, useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const client = { clientId: 'client-at-another-server', clientSecret: 'secret-at-another-server' };

interface OtherWorld {
  readonly world: World;
  readonly provider: OidcProvider;
  consent(link: string, choices?: Parameters<OidcProvider['consent']>[1]): Promise<Page>;
}

async function useOtherWorld(t: TestContext, options: Partial<OidcProviderOptions> = {}): Promise<OtherWorld> {
  const publicUrl = `http://127.0.0.1:${await freePort()}`;
  const provider = await startOidcProvider({
    clients: [{ ...client, redirectUris: [`${publicUrl}/oauth2/callback`] }],
    ...options,
  });
  atEnd(t, () => provider.close());
  const { issuer, authorization, token, jwks } = provider.endpoints;
  const world = await useWorld(t, {
    redisUrl: (await useRedis(t)).url,
    client,
    settings: {
      BROKER_PUBLIC_URL: publicUrl,
      BROKER_GOOGLE_ISSUER: issuer,
      BROKER_GOOGLE_AUTHORIZATION_URL: authorization,
      BROKER_GOOGLE_TOKEN_URL: token,
      BROKER_GOOGLE_JWKS_URL: jwks,
      BROKER_GOOGLE_YOUTUBE_URL: issuer,
    },
  });
  return {
    world,
    provider,
    async consent(link, choices) {
      const browser = createOwnerBrowser();
      return browser.open(await provider.consent(await browser.start(link), choices));
    },
  };
}

/** What the provider's own `channels.list` says to the token that a worker reads. */
async function channelOf(provider: OidcProvider, workload: TestWorkload, channelId: string): Promise<unknown> {
  const { accessToken } = await workload.getAccessToken({ channelId });
  const response = await fetch(`${provider.endpoints.youtube}/channels?part=id&mine=true`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  const { items } = (await response.json()) as { items?: readonly { readonly id: string }[] };
  return items?.map(({ id }) => id);
}

for (const rotateRefreshTokens of [false, true]) {
  const kind = rotateRefreshTokens ? 'rotates' : 'keeps';

  test(`an owner consents, a worker reads, a refresh follows, where the server ${kind} refresh tokens`, async (t) => {
    const { world, provider, consent } = await useOtherWorld(t, { rotateRefreshTokens });
    const { id, consentLink } = await world.addChannel();
    const page = await consent(consentLink);
    const first = await world.channel(id);
    assert.equal(first.state, 'active', page.text);
    assert.equal(first.grant?.youtubeChannelId, 'UCoidc');
    assert.equal(first.grant?.googleSubject, 'owner-1');
    const workload = await useWorkload(t, world, { reads: [id] });
    assert.deepEqual(await channelOf(provider, workload, id), ['UCoidc']);
    const { accessToken } = await workload.getAccessToken({ channelId: id });

    // Twice: a rotated token that was not kept would fail the second time.
    for (let refreshes = 0; refreshes < 2; refreshes += 1) {
      const from = world.google.now();
      world.google.advance(hour);
      await world.broker.refreshDue();
      assert.ok(((await world.channel(id)).grant?.lastRefreshAt?.getTime() ?? 0) >= from + hour);
    }
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.lastFailure], ['active', undefined]);
    const changed = grant?.refreshTokenHash !== first.grant?.refreshTokenHash;
    assert.equal(changed, rotateRefreshTokens);
    assert.notEqual((await workload.getAccessToken({ channelId: id })).accessToken, accessToken);
    assert.deepEqual(await channelOf(provider, workload, id), ['UCoidc']);
    assert.equal(world.google.counts.requests(), 0, 'the practice Google was asked');
  });
}

test('an owner who denies, or leaves a box unticked, is told so there too', async (t) => {
  const { world, consent } = await useOtherWorld(t);
  const { id, consentLink } = await world.addChannel();
  assert.match((await consent(consentLink, { decision: 'deny' })).text, /You did not give permission/);
  assert.match((await consent(consentLink, { untick: [youtubeScope.upload] })).text, /tick was missing/);
  assert.equal((await world.channel(id)).state, 'pending_consent');
});

test('a server that is gone leaves the channel active, and is named to the worker', async (t) => {
  const { world, provider, consent } = await useOtherWorld(t);
  const { id, consentLink } = await world.addChannel();
  await consent(consentLink);
  const workload = await useWorkload(t, world, { reads: [id] });
  await provider.close();
  world.google.advance(hour);
  await world.broker.refreshDue();
  const { state, grant } = await world.channel(id);
  assert.deepEqual([state, grant?.lastFailure], ['active', 'unavailable']);
  await assert.rejects(workload.getAccessToken({ channelId: id }), { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
});
