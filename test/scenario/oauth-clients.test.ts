/** Operators look after OAuth clients while the brokers run: off and on, new secrets, new DPoP keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { useWorkload } from '../support/workload.ts';
import { oauthClient, useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const minute = 60_000;
const clientId = 'client-1.apps.example';
const path = `/v1/oauth-clients/${oauthClient}`;

async function refreshedNow(world: World, id: string): Promise<boolean> {
  const before = (await world.channel(id)).grant?.lastRefreshAt;
  world.google.advance(hour);
  await world.broker.refreshDue();
  const after = (await world.channel(id)).grant?.lastRefreshAt;
  return before !== undefined && after !== undefined && after > before;
}

test('a client that is switched off serves valid tokens, refreshes nothing, and goes on when it is switched on', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const other = await world.addChannel('waiting');
  const workload = await useWorkload(t, world, { reads: [id] });
  const disabled = await world.api<{ disabled_at: string }>('POST', `${path}/disable`);
  assert.ok(disabled.disabled_at);
  world.google.counts.reset();

  assert.match((await workload.getAccessToken({ channelId: id })).accessToken, /^ya29\./);
  world.google.advance(40 * minute);
  assert.equal(await world.broker.refreshDue(), 0, 'what is due is passed over');
  world.google.advance(30 * minute);
  await assert.rejects(workload.getAccessToken({ channelId: id }), { code: 'OAUTH_CLIENT_DISABLED' });
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);
  const { state, grant } = await world.channel(id);
  assert.deepEqual([state, grant?.lastFailure, grant?.refreshFailures], ['active', undefined, 0], 'it is not degraded');
  const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  assert.doesNotMatch(metrics, /refreshes_total\{result="broker_fault"\} [1-9]/);
  const [refused] = await world.store.audit.list({ channel: id, limit: 1 });
  assert.deepEqual([refused?.action, refused?.result], ['token.refresh', 'OAUTH_CLIENT_DISABLED']);
  await assert.rejects(createOwnerBrowser().start(other.consentLink));
  await assert.rejects(world.addChannel('another'), /OAUTH_CLIENT_DISABLED/);

  await world.api('POST', `${path}/enable`);
  world.google.advance(16 * minute);
  assert.match((await workload.getAccessToken({ channelId: id })).accessToken, /^ya29\./);
  await world.consent(other.consentLink);
  assert.equal((await world.channel(other.id)).state, 'active');
  const acts = (await world.store.audit.list({ limit: 100 })).map(({ action }) => action);
  assert.ok(acts.includes('oauth-client.disable') && acts.includes('oauth-client.enable'));
});

test('a secret is rotated without a gap: in front, with the former behind it, which ends only when the new one works', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const rotated = await world.api('POST', `${path}/secrets`, { client_secret: 'client-secret-2' });
  assert.deepEqual(rotated, { version: 2, accepted: false });
  assert.ok(await refreshedNow(world, id), 'the former secret serves meanwhile');
  await assert.rejects(world.api('POST', `${path}/secrets/retire`, {}), /OAUTH_CLIENT_REJECTED/);
  assert.ok(await refreshedNow(world, id), 'the former secret is still there');

  world.google.updateClient(clientId, { clientSecret: 'client-secret-2' });
  assert.deepEqual(await world.api('POST', `${path}/secrets/retire`, {}), { version: 2, accepted: true });
  const { secrets } = await world.api<{ secrets: readonly { version: number }[] }>('GET', path);
  assert.deepEqual(
    secrets.map(({ version }) => version),
    [2],
  );
  assert.ok(await refreshedNow(world, id));
  assert.equal((await world.channel(id)).grant?.lastFailure, undefined);
});

test('the former secrets are ended by force where Google does not accept the newest', async (t) => {
  const world = await useWorld(t);
  await world.api('POST', `${path}/secrets`, { client_secret: 'client-secret-2' });
  const retired = await world.api('POST', `${path}/secrets/retire`, { force: true });
  assert.deepEqual(retired, { version: 2, accepted: false });
});

test('its publishing status is what an operator says, and production until then', async (t) => {
  const world = await useWorld(t);
  const look = async () => (await world.store.oauthClients.find(oauthClient))?.publishing;
  assert.equal(await look(), 'production');
  await world.api('POST', `${path}/publishing`, { publishing: 'testing' });
  assert.equal(await look(), 'testing');
  await world.api('POST', `${path}/dpop`, { dpop: false });
  assert.equal(await look(), 'testing', 'other changes leave it alone');
});

test('DPoP is switched off and on for new consents, and a bound grant stays bound', async (t) => {
  const world = await useWorld(t, { dpop: true });
  const bound = await world.connectedChannel('bound');
  await world.api('POST', `${path}/dpop`, { dpop: false });
  const free = await world.connectedChannel('free');
  assert.equal((await world.channel(bound)).grant?.dpopKeyVersion, 1);
  assert.equal((await world.channel(free)).grant?.dpopKeyVersion, undefined);
  assert.ok(await refreshedNow(world, bound));
  await world.api('POST', `${path}/dpop`, { dpop: true });
  assert.ok(await refreshedNow(world, free), 'a grant that is not bound stays so');
  assert.equal((await world.channel(await world.connectedChannel('bound-again'))).grant?.dpopKeyVersion, 1);
});

test('after a rotation of the DPoP key new grants use the new version and old ones keep theirs', async (t) => {
  const world = await useWorld(t, { dpop: true, client: { dpop: 'required' } });
  const old = await world.connectedChannel('old');
  assert.deepEqual(await world.api('POST', `${path}/dpop-key/rotate`), { version: 2 });
  const young = await world.connectedChannel('young');
  assert.equal((await world.channel(young)).grant?.dpopKeyVersion, 2);
  assert.ok(await refreshedNow(world, old));
  assert.ok(await refreshedNow(world, young));
  assert.equal((await world.channel(old)).grant?.dpopKeyVersion, 1);
});
