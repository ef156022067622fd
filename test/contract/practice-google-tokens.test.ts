import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { day, minute, second } from '../fake-google/clock.ts';
import { youtubeScope } from '../fake-google/scopes.ts';
import { readAnswer, redeemCode, refresh, requestToken } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';

const error = ({ status, body }: { status: number; body: { error?: string } }) => [status, body.error];

describe("the practice Google's token endpoint", { concurrency: true }, () => {
  it('keeps the sizes and shapes of Google tokens', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const { body } = await grant();
    assert.match(body.access_token ?? '', /^ya29\./);
    assert.match(body.refresh_token ?? '', /^1\/\//);
    assert.ok(Buffer.byteLength(body.access_token ?? '') <= 2048);
    assert.ok(Buffer.byteLength(body.refresh_token ?? '') <= 512);
    assert.equal(body.expires_in, 3599);
    assert.equal(body.refresh_token_expires_in, undefined);
  });

  it('reports the scopes in an order of its own and email under its long name', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const { body } = await grant();
    assert.notEqual(body.scope, usualScope);
    assert.deepEqual(body.scope?.split(' '), [
      'https://www.googleapis.com/auth/userinfo.email',
      youtubeScope.readonly,
      youtubeScope.upload,
      'openid',
    ]);
  });

  it('gives no refresh token without access_type=offline', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const { status, body } = await grant({ parameters: { access_type: undefined } });
    assert.deepEqual([status, body.refresh_token], [200, undefined]);
  });

  it('gives a refresh token at the first consent, and again only with prompt=consent', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const hasRefreshToken = async (prompt: string | undefined) =>
      (await grant({ parameters: { prompt } })).body.refresh_token !== undefined;
    assert.equal(await hasRefreshToken(undefined), true);
    assert.equal(await hasRefreshToken(undefined), false);
    assert.equal(await hasRefreshToken('consent'), true);
  });

  it('returns no refresh token from a refresh unless the client rotates', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    assert.equal((await refresh(client, body.refresh_token)).body.refresh_token, undefined);

    google.updateClient(client.clientId, { rotateRefreshTokens: true });
    const rotated = await refresh(client, body.refresh_token);
    assert.notEqual(rotated.body.refresh_token, undefined);
    assert.deepEqual(error(await refresh(client, body.refresh_token)), [400, 'invalid_grant']);
    assert.equal((await refresh(client, rotated.body.refresh_token)).status, 200);
  });

  it('takes client_secret_basic as well', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const basic = Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64');
    const answer = await fetch(google.endpoints.token, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: body.refresh_token ?? '' }),
    });
    assert.equal((await readAnswer(answer)).status, 200);
  });

  it('refuses a code of another client, another redirect URI, without verifier, or too late', async (t) => {
    const { google, client, addClient, consent } = await startPracticeWorld(t);
    const { callbackUrl, verifier } = await consent();
    const code = new URL(callbackUrl).searchParams.get('code') ?? '';
    const another = addClient('another');
    assert.deepEqual(error(await redeemCode(another, callbackUrl, verifier)), [400, 'invalid_grant']);
    const elsewhere = { ...client, redirectUri: `${client.redirectUri}/` };
    assert.deepEqual(error(await redeemCode(elsewhere, callbackUrl, verifier)), [400, 'redirect_uri_mismatch']);
    const fields = { grant_type: 'authorization_code', code, redirect_uri: client.redirectUri };
    assert.deepEqual(error(await requestToken(client, fields)), [400, 'invalid_grant']);
    google.advance(10 * minute);
    assert.deepEqual(error(await redeemCode(client, callbackUrl, verifier)), [400, 'invalid_grant']);
  });

  it('takes a plain challenge as RFC 7636 allows', async (t) => {
    const { client, consent } = await startPracticeWorld(t);
    const code_challenge = 'a'.repeat(43);
    const { callbackUrl } = await consent({ parameters: { code_challenge, code_challenge_method: 'plain' } });
    assert.equal((await redeemCode(client, callbackUrl, code_challenge)).status, 200);
  });

  it('ends access tokens too when a code is replayed', async (t) => {
    const { google, client, consent } = await startPracticeWorld(t);
    const { callbackUrl, verifier } = await consent();
    const { body } = await redeemCode(client, callbackUrl, verifier);
    const refreshed = await refresh(client, body.refresh_token);
    await redeemCode(client, callbackUrl, verifier);
    for (const token of [body.access_token, refreshed.body.access_token]) {
      const userinfo = await fetch(google.endpoints.userinfo, { headers: { authorization: `Bearer ${token}` } });
      assert.equal((await readAnswer(userinfo)).status, 401);
    }
  });

  it('invalidates the oldest of 101 refresh tokens of one owner and client, silently', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const grant = { clientId: client.clientId, account: owner.email, scope: usualScope };
    const tokens = Array.from({ length: 101 }, () => google.grant(grant).refreshToken);
    const brand = google.grant({ ...grant, channel: owner.brand.id }).refreshToken;
    assert.deepEqual(error(await refresh(client, tokens[0])), [400, 'invalid_grant']);
    assert.equal((await refresh(client, tokens[1])).status, 200);
    assert.equal((await refresh(client, brand)).status, 200, 'a brand channel has a limit of its own');
  });

  it('ends refresh tokens after seven days while testing, also when published since, unless for signing in only', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t, { settings: { publishing: 'testing' } });
    const { body: upload } = await grant();
    const { body: signIn } = await grant({ parameters: { scope: 'openid email profile' } });
    google.updateClient(client.clientId, { publishing: 'production' });
    google.advance(7 * day - minute);
    assert.equal((await refresh(client, upload.refresh_token)).status, 200);
    google.advance(minute);
    const answer = await refresh(client, upload.refresh_token);
    assert.deepEqual(
      [answer.body.error, answer.body.error_description],
      ['invalid_grant', 'Token has been expired or revoked.'],
    );
    assert.equal((await refresh(client, signIn.refresh_token)).status, 200);
  });

  it('ends a refresh token after six months without use, and use keeps it alive', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    google.advance(182 * day);
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
    google.advance(182 * day);
    assert.equal((await refresh(client, body.refresh_token)).status, 200);
    google.advance(184 * day);
    assert.deepEqual(error(await refresh(client, body.refresh_token)), [400, 'invalid_grant']);
  });

  it('announces refresh_token_expires_in for time-based access only, and keeps to it', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t, { settings: { timeBasedAccess: 86_400 } });
    const { body } = await grant();
    assert.equal(body.refresh_token_expires_in, 86_400);
    google.advance(day);
    assert.deepEqual(error(await refresh(client, body.refresh_token)), [400, 'invalid_grant']);
  });

  it('lets access tokens expire as announced', async (t) => {
    const { google, grant } = await startPracticeWorld(t, { settings: { accessTokenLifetime: 100 } });
    google.setClock(1_800_000_000_000);
    const { body } = await grant();
    assert.equal(body.expires_in, 100);
    const status = async () => {
      const headers = { authorization: `Bearer ${body.access_token}` };
      return (await readAnswer(await fetch(google.endpoints.userinfo, { headers }))).status;
    };
    google.advance(100 * second - 1);
    assert.equal(await status(), 200);
    google.advance(1);
    assert.equal(await status(), 401);
  });

  it('gives a narrower access token on request and refuses a wider one', async (t) => {
    const { client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const ask = (scope: string) =>
      requestToken(client, { grant_type: 'refresh_token', refresh_token: body.refresh_token ?? '', scope });
    assert.equal((await ask(youtubeScope.upload)).body.scope, youtubeScope.upload);
    assert.deepEqual(error(await ask(youtubeScope.all)), [400, 'invalid_scope']);
  });

  it('tells an administrator’s changes to the client apart', async (t) => {
    const { google, client, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    const seen: unknown[] = [];
    for (const status of ['deleted', 'disabled', 'unauthorized', 'active'] as const) {
      google.updateClient(client.clientId, { status });
      seen.push(error(await refresh(client, body.refresh_token)));
    }
    assert.deepEqual(seen, [
      [401, 'deleted_client'],
      [401, 'disabled_client'],
      [401, 'unauthorized_client'],
      [200, undefined],
    ]);
  });

  it('answers requests that lack something with invalid_request', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    assert.deepEqual(error(await requestToken(client, { grant_type: 'refresh_token' })), [400, 'invalid_request']);
    assert.deepEqual(error(await requestToken(client, {})), [400, 'invalid_request']);
    const anonymous = await fetch(google.endpoints.token, { method: 'POST' });
    assert.deepEqual(error(await readAnswer(anonymous)), [400, 'invalid_request']);
    assert.equal((await readAnswer(await fetch(google.endpoints.token))).status, 404);
  });

  it('refuses a refresh token that belongs to another client', async (t) => {
    const { addClient, grant } = await startPracticeWorld(t);
    const { body } = await grant();
    assert.deepEqual(error(await refresh(addClient('another'), body.refresh_token)), [401, 'unauthorized_client']);
  });
});
