/** Grants bound by DPoP (RFC 9449): the key is in Vault, so a refresh token by itself is worth nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeProofId, createDpopKey } from '../support/dpop-proof.ts';
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

for (const dpop of [true, false]) {
  test(`a refresh token that was copied from the broker ${dpop ? 'is refused without its key and with another' : 'works for whoever has it, without DPoP'}`, async (t) => {
    const world = await useWorld(t, { dpop });
    await world.connectedChannel();
    const [stolen] = world.google.liveRefreshTokens();
    assert.ok(stolen);
    const htu = world.google.endpoints.token;
    const thief = createDpopKey({ htu, now: () => world.google.now() });
    const ask = (headers: Record<string, string> = {}) =>
      fetch(htu, {
        method: 'POST',
        headers,
        body: new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: stolen,
          client_id: 'client-1.apps.example',
          client_secret: 'client-secret-1',
        }),
      });
    const challenge = await ask({ DPoP: thief.prove({}) });
    const nonce = challenge.headers.get('dpop-nonce');
    assert.ok(nonce, 'the practice Google asks for a nonce');
    const expected = dpop ? 400 : 200;
    assert.equal((await ask({ DPoP: thief.prove({ nonce }) })).status, expected);
    assert.equal((await ask()).status, expected);
  });
}

test('a proof has the hash of the code at the code grant, and a fresh jti at each refresh', async (t) => {
  const world = await useWorld(t, { dpop: true, client: { dpop: 'required' } });
  world.google.counts.reset();
  await world.connectedChannel();
  for (const _ of [1, 2]) {
    world.google.advance(hour);
    await world.broker.refreshDue();
  }
  const [exchanges, refreshes] = (['authorization_code', 'refresh_token'] as const).map((grantType) =>
    world.google.counts.log({ endpoint: 'token', grantType }).map(({ headers, parameters, status }) => {
      const [, claims = ''] = String(headers.dpop).split('.');
      return { code: parameters.code, status, ...JSON.parse(Buffer.from(claims, 'base64url').toString()) };
    }),
  );
  assert.ok(exchanges && refreshes);
  for (const { jti, code } of exchanges) assert.equal(jti, codeProofId(code));
  assert.equal(new Set(refreshes.map(({ jti }) => jti)).size, refreshes.length);
  assert.equal(refreshes.filter(({ status }) => status === 200).length, 2);
  const nonces = (proofs: typeof exchanges) => proofs.flatMap(({ nonce }) => (nonce ? [nonce] : []));
  assert.ok(nonces(exchanges).length > 0 && nonces(refreshes).length > 0);
  assert.ok(
    nonces(exchanges).every((nonce) => !nonces(refreshes).includes(nonce)),
    'two nonce spaces',
  );
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
