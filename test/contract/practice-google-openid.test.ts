import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { readAnswer, refresh } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld } from '../support/practice-world.ts';

describe("the practice Google's OpenID Connect", { concurrency: true }, () => {
  it('signs ID tokens for the client, with nonce, at_hash, sub and e-mail', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant({ parameters: { nonce: 'a nonce' } });
    const keys = createRemoteJWKSet(new URL(google.endpoints.jwks));
    const { payload } = await jwtVerify(body.id_token ?? '', keys, { issuer: google.url, audience: client.clientId });
    const hash = createHash('sha256')
      .update(body.access_token ?? '')
      .digest();
    assert.equal(payload.azp, client.clientId);
    assert.equal(payload.nonce, 'a nonce');
    assert.equal(payload.at_hash, hash.subarray(0, 16).toString('base64url'));
    assert.equal(payload.email, owner.email);
    assert.equal(payload.email_verified, true);
    assert.match(payload.sub ?? '', /^\d{21}$/);
    assert.equal(payload.name, undefined, 'the name goes with the profile scope');
  });

  it('names the same sub in every ID token of one identity, also after a refresh', async (t) => {
    const { client, grant } = await startPracticeWorld(t);
    const first = await grant({ choices: { channel: owner.brand.id } });
    const second = await grant({ choices: { channel: owner.brand.title } });
    const refreshed = await refresh(client, first.body.refresh_token);
    const subs = [first, second, refreshed].map(({ body }) => decodeJwt(body.id_token ?? '').sub);
    assert.equal(new Set(subs).size, 1);
    const personal = await grant();
    assert.notEqual(decodeJwt(personal.body.id_token ?? '').sub, subs[0]);
  });

  it('sends no ID token without the openid scope', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const { body } = await grant({ parameters: { scope: 'email' } });
    assert.equal(body.id_token, undefined);
  });

  it('calls itself by the issuer it is told, in discovery, callback and ID token', async (t) => {
    const issuer = 'https://accounts.google.com';
    const { google, consent, grant } = await startPracticeWorld(t, { options: { issuer } });
    const discovery = await readAnswer(await fetch(google.endpoints.discovery));
    const { callbackUrl } = await consent();
    const { body } = await grant();
    assert.equal(discovery.body.issuer, issuer);
    assert.equal(new URL(callbackUrl).searchParams.get('iss'), issuer);
    assert.equal(decodeJwt(body.id_token ?? '').iss, issuer);
  });

  it('does not announce the iss of the callback in discovery, as Google does not', async (t) => {
    const { google } = await startPracticeWorld(t);
    const { body } = await readAnswer(await fetch(google.endpoints.discovery));
    assert.equal('authorization_response_iss_parameter_supported' in body, false);
  });

  it('tells name and e-mail at userinfo as far as they were granted', async (t) => {
    const { google, grant } = await startPracticeWorld(t);
    const profileOf = async (scope: string) => {
      const { body } = await grant({ parameters: { scope } });
      const headers = { authorization: `Bearer ${body.access_token}` };
      return (await readAnswer(await fetch(google.endpoints.userinfo, { headers }))).body;
    };
    const { sub, ...all } = await profileOf('openid email profile');
    assert.deepEqual(all, { email: owner.email, email_verified: true, name: owner.name });
    assert.deepEqual(await profileOf('openid'), { sub });
  });
});
