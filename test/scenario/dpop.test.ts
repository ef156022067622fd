/** Grants bound by DPoP (RFC 9449): the key is in Vault, so a refresh token by itself is worth nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useWorld } from '../support/world.ts';

const hour = 3_600_000;

test('a bound grant is consented, refreshed and survives a rotation of its key', async (t) => {
  const world = await useWorld(t, { dpop: true, client: { dpop: 'required' } });
  const id = await world.connectedChannel();
  const first = (await world.channel(id)).grant;
  assert.equal(first?.dpopKeyVersion, 1);

  const { transit } = world.vault.layout.mounts;
  await world.vault.operator.write(`${transit}/keys/dpop-uploads/rotate`, {});
  world.google.advance(hour);
  await world.broker.refreshDue();
  const refreshed = (await world.channel(id)).grant;
  assert.ok(refreshed?.lastRefreshAt && first.lastRefreshAt && refreshed.lastRefreshAt > first.lastRefreshAt);
  assert.equal(refreshed.lastFailure, undefined);

  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
  await world.consent(url);
  assert.equal((await world.channel(id)).grant?.dpopKeyVersion, 2, 'a new grant is bound to the newest version');
});

test('a refresh token that was copied from the broker is refused without the key', async (t) => {
  const world = await useWorld(t, { dpop: true, client: { dpop: 'required' } });
  await world.connectedChannel();
  const [stolen] = world.google.liveRefreshTokens();
  assert.ok(stolen);
  const response = await fetch(world.google.endpoints.token, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: stolen,
      client_id: 'client-1.apps.example',
      client_secret: 'client-secret-1',
    }),
  });
  assert.equal(response.status, 400);
});

test('a nonce that Google asks for is given once, for each grant type its own', async (t) => {
  const world = await useWorld(t, { dpop: true, client: { dpop: 'required' } });
  world.google.counts.reset();
  const id = await world.connectedChannel();
  const exchanges = world.google.counts.log({ endpoint: 'token', grantType: 'authorization_code' });
  assert.equal(exchanges.length, 2);
  world.google.advance(hour);
  await world.broker.refreshDue();
  const refreshes = world.google.counts.log({ endpoint: 'token', grantType: 'refresh_token' });
  assert.equal(refreshes.length, 2);
  assert.equal((await world.channel(id)).state, 'active');
});
