import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { minute } from '../fake-google/clock.ts';
import type { PracticeGoogleOptions } from '../fake-google/server.ts';
import type { Client } from '../fake-google/world.ts';
import { codeProofId, createDpopKey } from '../support/dpop-proof.ts';
import { redeemCode, refresh } from '../support/plain-oauth-client.ts';
import { startPracticeWorld } from '../support/practice-world.ts';

async function startDpopWorld(t: TestContext, settings: Partial<Client> = {}, options: PracticeGoogleOptions = {}) {
  const world = await startPracticeWorld(t, { settings, options });
  const { google, client } = world;
  const newKey = () => createDpopKey({ htu: google.endpoints.token, now: google.now });
  const key = newKey();

  /** Redeems a new code with proofs of `key`, doing as the nonce challenge says. */
  async function boundGrant() {
    const { callbackUrl, verifier } = await world.consent();
    const jti = codeProofId(new URL(callbackUrl).searchParams.get('code') ?? '');
    const challenged = await redeemCode(client, callbackUrl, verifier, { dpop: key.prove({ jti }) });
    const nonce = challenged.headers.get('dpop-nonce') ?? undefined;
    return redeemCode(client, callbackUrl, verifier, { dpop: key.prove({ jti, nonce }) });
  }

  /** The nonce that the server asks for at a refresh. */
  async function refreshNonce() {
    const { headers } = await refresh(client, 'any', { dpop: key.prove({}) });
    return headers.get('dpop-nonce') ?? undefined;
  }

  return { ...world, key, newKey, boundGrant, refreshNonce };
}

describe("DPoP at the practice Google's token endpoint", { concurrency: true }, () => {
  it('asks for a nonce once, takes the same jti again with it, and issues bearer tokens', async (t) => {
    const { client, consent, key } = await startDpopWorld(t);
    const { callbackUrl, verifier } = await consent();
    const jti = codeProofId(new URL(callbackUrl).searchParams.get('code') ?? '');

    const challenged = await redeemCode(client, callbackUrl, verifier, { dpop: key.prove({ jti }) });
    assert.deepEqual([challenged.status, challenged.body.error], [400, 'use_dpop_nonce']);
    const nonce = challenged.headers.get('dpop-nonce');
    assert.ok(nonce);

    const { status, body } = await redeemCode(client, callbackUrl, verifier, { dpop: key.prove({ jti, nonce }) });
    assert.deepEqual([status, body.token_type], [200, 'Bearer']);
  });

  it('asks at a code exchange for the jti that is the hash of the code', async (t) => {
    const { client, consent, key } = await startDpopWorld(t, { dpopNonces: 'never' });
    const { callbackUrl, verifier } = await consent();
    const { status, body } = await redeemCode(client, callbackUrl, verifier, { dpop: key.prove({}) });
    assert.deepEqual([status, body.error], [400, 'invalid_dpop_proof']);
    assert.match(body.error_description ?? '', /hash of the code/);
  });

  it('keeps the nonces of code exchange and refresh apart', async (t) => {
    const { client, boundGrant, consent, key, refreshNonce } = await startDpopWorld(t);
    const { body } = await boundGrant();
    const { callbackUrl, verifier } = await consent();
    const jti = codeProofId(new URL(callbackUrl).searchParams.get('code') ?? '');
    const proofWithRefreshNonce = key.prove({ jti, nonce: await refreshNonce() });
    const exchange = await redeemCode(client, callbackUrl, verifier, { dpop: proofWithRefreshNonce });
    assert.equal(exchange.body.error, 'use_dpop_nonce');

    const codeNonce = exchange.headers.get('dpop-nonce');
    const refused = await refresh(client, body.refresh_token, { dpop: key.prove({ nonce: codeNonce }) });
    assert.equal(refused.body.error, 'use_dpop_nonce');
  });

  it('replaces nonces with time', async (t) => {
    const { google, client, boundGrant, key, refreshNonce } = await startDpopWorld(t);
    const { body } = await boundGrant();
    const nonce = await refreshNonce();
    google.advance(10 * minute);
    const { body: refused } = await refresh(client, body.refresh_token, { dpop: key.prove({ nonce }) });
    assert.equal(refused.error, 'use_dpop_nonce');
  });

  it('binds the refresh token to the key: without proof or with another key it is refused', async (t) => {
    const { client, boundGrant, key, newKey, refreshNonce } = await startDpopWorld(t);
    const { body } = await boundGrant();
    const nonce = await refreshNonce();
    assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_grant');
    const stolen = await refresh(client, body.refresh_token, { dpop: newKey().prove({ nonce }) });
    assert.equal(stolen.body.error, 'invalid_grant');
    assert.equal((await refresh(client, body.refresh_token, { dpop: key.prove({ nonce }) })).status, 200);
  });

  it('keeps the binding when the refresh token is rotated', async (t) => {
    const { client, boundGrant, key, refreshNonce } = await startDpopWorld(t, { rotateRefreshTokens: true });
    const { body } = await boundGrant();
    const nonce = await refreshNonce();
    const { body: rotated } = await refresh(client, body.refresh_token, { dpop: key.prove({ nonce }) });
    assert.equal((await refresh(client, rotated.refresh_token)).status, 400);
    assert.equal((await refresh(client, rotated.refresh_token, { dpop: key.prove({ nonce }) })).status, 200);
  });

  it('can refuse a bound token without its key as invalid_dpop_proof: Google’s choice is not documented', async (t) => {
    const { client, boundGrant } = await startDpopWorld(t, {}, { boundTokenRefusal: 'invalid_dpop_proof' });
    const { body } = await boundGrant();
    assert.equal((await refresh(client, body.refresh_token)).body.error, 'invalid_dpop_proof');
  });

  it('does not bind an unbound refresh token by a proof at refresh', async (t) => {
    const { client, grant, key, refreshNonce } = await startDpopWorld(t);
    const { body } = await grant();
    const dpop = key.prove({ nonce: await refreshNonce() });
    assert.equal((await refresh(client, body.refresh_token, { dpop })).status, 200);
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
  });

  it('refuses a jti that was used before', async (t) => {
    const { client, boundGrant, key, refreshNonce } = await startDpopWorld(t);
    const { body } = await boundGrant();
    const dpop = key.prove({ nonce: await refreshNonce() });
    assert.equal((await refresh(client, body.refresh_token, { dpop })).status, 200);
    assert.equal((await refresh(client, body.refresh_token, { dpop })).body.error, 'invalid_dpop_proof');
  });

  const wrongProofs: readonly [string, Record<string, unknown>, Record<string, unknown>?][] = [
    ['for another method', { htm: 'GET' }],
    ['for another address', { htu: 'https://oauth2.googleapis.com/token' }],
    ['without a time', { iat: undefined }],
    ['from too long ago', { iat: 1_000_000_000 }],
    ['without jti', { jti: undefined }],
    ['of another type', {}, { typ: 'JWT' }],
    ['that names no algorithm worth the name', {}, { alg: 'none' }],
    ['without its key', {}, { jwk: undefined }],
    ['signed by another key', {}, { jwk: createDpopKeyJwk() }],
  ];
  for (const [what, claims, header] of wrongProofs) {
    it(`refuses a proof ${what}`, async (t) => {
      const { client, grant, key } = await startDpopWorld(t, { dpopNonces: 'never' });
      const { body } = await grant();
      const answer = await refresh(client, body.refresh_token, { dpop: key.prove(claims, header) });
      assert.deepEqual([answer.status, answer.body.error], [400, 'invalid_dpop_proof']);
    });
  }

  it('refuses a request without proof where the client requires one', async (t) => {
    const { grant } = await startDpopWorld(t, { dpop: 'required' });
    assert.equal((await grant()).body.error, 'invalid_dpop_proof');
  });

  it('ignores proofs of a client that has DPoP off', async (t) => {
    const { client, grant } = await startDpopWorld(t, { dpop: 'off' });
    const { body } = await grant();
    assert.equal((await refresh(client, body.refresh_token, { dpop: 'rubbish' })).status, 200);
  });
});

function createDpopKeyJwk(): unknown {
  const proof = createDpopKey({ htu: '', now: () => 0 }).prove({});
  const [header = ''] = proof.split('.');
  return (JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as { jwk: unknown }).jwk;
}
