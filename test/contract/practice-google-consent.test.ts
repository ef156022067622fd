import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { youtubeScope } from '../fake-google/scopes.ts';
import { ConsentPageError } from '../fake-google/walk-consent.ts';
import { readAnswer, startConsent } from '../support/plain-oauth-client.ts';
import { owner, startPracticeWorld, usualRequest } from '../support/practice-world.ts';

describe("the practice Google's consent", { concurrency: true }, () => {
  it('brings code, state, iss, scope, authuser and prompt to the callback', async (t) => {
    const { google, client, consent } = await startPracticeWorld(t);
    const { callbackUrl } = await consent({ parameters: { state: 'a state' } });
    const { origin, pathname, searchParams } = new URL(callbackUrl);
    assert.equal(`${origin}${pathname}`, client.redirectUri);
    assert.deepEqual([...searchParams.keys()].sort(), ['authuser', 'code', 'iss', 'prompt', 'scope', 'state']);
    assert.equal(searchParams.get('state'), 'a state');
    assert.equal(searchParams.get('iss'), google.endpoints.issuer);
    assert.equal(searchParams.get('prompt'), 'consent');
    assert.ok(searchParams.get('scope')?.split(' ').includes(youtubeScope.upload));
  });

  it('keeps its code within 256 bytes', async (t) => {
    const { consent } = await startPracticeWorld(t);
    const code = new URL((await consent()).callbackUrl).searchParams.get('code') ?? '';
    assert.match(code, /^4\/0A/);
    assert.ok(Buffer.byteLength(code) <= 256);
  });

  it('sends the iss of the callback as the client is set: present, absent, twice or wrong', async (t) => {
    const { google, client, consent } = await startPracticeWorld(t);
    const { issuer } = google.endpoints;
    const sent: Record<string, string[]> = {};
    for (const issuerInCallback of ['present', 'absent', 'twice', 'wrong'] as const) {
      google.updateClient(client.clientId, { issuerInCallback });
      sent[issuerInCallback] = new URL((await consent()).callbackUrl).searchParams.getAll('iss');
    }
    assert.deepEqual(sent, {
      present: [issuer],
      absent: [],
      twice: [issuer, issuer],
      wrong: ['https://issuer.invalid'],
    });
  });

  it('brings access_denied and the state, and no code, when the owner cancels', async (t) => {
    const { consent } = await startPracticeWorld(t);
    const { callbackUrl } = await consent({ parameters: { state: 's' }, choices: { decision: 'deny' } });
    const { searchParams } = new URL(callbackUrl);
    assert.deepEqual(
      [searchParams.get('error'), searchParams.get('state'), searchParams.get('code')],
      ['access_denied', 's', null],
    );
  });

  it('leaves unticked scopes out of callback and tokens', async (t) => {
    const { grant } = await startPracticeWorld(t);
    const { body } = await grant({ choices: { untick: [youtubeScope.readonly] } });
    assert.ok(body.scope?.includes(youtubeScope.upload));
    assert.ok(!body.scope?.includes(youtubeScope.readonly));
  });

  it('gives a trusted application all scopes or none, without boxes', async (t) => {
    const { grant } = await startPracticeWorld(t, { settings: { trusted: true } });
    const { body } = await grant({ choices: { untick: [youtubeScope.readonly] } });
    assert.ok(body.scope?.includes(youtubeScope.readonly));
  });

  it('gives a brand channel an identity of its own', async (t) => {
    const { google, grant } = await startPracticeWorld(t);
    const who = async (channel?: string) => {
      const { body } = await grant({ choices: channel === undefined ? {} : { channel } });
      const headers = { authorization: `Bearer ${body.access_token}` };
      const { body: profile } = await readAnswer(await fetch(google.endpoints.userinfo, { headers }));
      return profile;
    };
    const [personal, brand] = [await who(), await who(owner.brand.title)];
    assert.equal(personal.email, owner.email);
    assert.match(String(brand.email), /@pages\.plusgoogle\.com$/);
    assert.notEqual(brand.sub, personal.sub);
  });

  it('shows the channel chooser only when select_account is asked for', async (t) => {
    const { google, client, consent } = await startPracticeWorld(t);
    await consent({ parameters: { prompt: 'consent' } });
    assert.equal(google.counts.requests({ endpoint: 'consent' }), 2, 'sign-in page and permissions only');
    google.counts.reset();
    await consent();
    assert.equal(google.counts.requests({ endpoint: 'consent' }), 4, 'account, channel, sign-in, permissions');
    assert.equal(google.counts.requests({ clientId: client.clientId }), 1);
  });

  it('takes the account of login_hint, by e-mail or sub, without asking', async (t) => {
    const { google, consent } = await startPracticeWorld(t);
    const other = google.addAccount({ email: 'other@example.com' });
    for (const login_hint of [other.email, other.identities[0].sub]) {
      google.counts.reset();
      await consent({ parameters: { prompt: 'consent', login_hint } });
      assert.equal(google.counts.requests({ endpoint: 'consent' }), 2);
    }
  });

  it('asks nothing again where the same scopes stand, unless prompt=consent', async (t) => {
    const { google, consent } = await startPracticeWorld(t);
    await consent();
    google.counts.reset();
    await consent({ parameters: { prompt: undefined } });
    assert.equal(google.counts.requests({ endpoint: 'consent' }), 0);
  });

  it('answers prompt=none with the code where consent stands and interaction_required where not', async (t) => {
    const { consent } = await startPracticeWorld(t);
    const silent = async () => new URL((await consent({ parameters: { prompt: 'none' } })).callbackUrl).searchParams;
    assert.equal((await silent()).get('error'), 'interaction_required');
    await consent();
    assert.ok((await silent()).get('code'));
  });

  it('merges scopes granted before only with include_granted_scopes', async (t) => {
    const { grant } = await startPracticeWorld(t);
    await grant();
    const later = { scope: youtubeScope.upload };
    const alone = await grant({ parameters: later });
    assert.equal(alone.body.scope, youtubeScope.upload);
    const merged = await grant({ parameters: { ...later, include_granted_scopes: 'true' } });
    assert.ok(merged.body.scope?.includes(youtubeScope.readonly));
  });

  it('lets only test users through while the application is being tested', async (t) => {
    const settings = { publishing: 'testing', testUsers: ['somebody@example.com'] } as const;
    const { consent } = await startPracticeWorld(t, { settings });
    await assert.rejects(consent(), { name: 'ConsentPageError', status: 403 });
  });

  const refusals = [
    ['an unknown client', { client_id: 'nobody' }, 401, 'invalid_client'],
    ['a redirect URI with another path', { redirect_uri: 'http://127.0.0.1:1/other' }, 400, 'redirect_uri_mismatch'],
    [
      'a redirect URI with one slash more',
      { redirect_uri: 'http://127.0.0.1:1/callback/' },
      400,
      'redirect_uri_mismatch',
    ],
    ['no redirect URI', { redirect_uri: undefined }, 400, 'redirect_uri_mismatch'],
    ['the implicit grant', { response_type: 'token' }, 400, 'unsupported_response_type'],
    ['no scope', { scope: undefined }, 400, 'invalid_request'],
    ['a scope that nobody knows', { scope: 'openid everything' }, 400, 'invalid_scope'],
    ['an unknown prompt', { prompt: 'please' }, 400, 'invalid_request'],
    ['prompt none together with another', { prompt: 'none consent' }, 400, 'invalid_request'],
    ['an unknown challenge method', { code_challenge_method: 'S512' }, 400, 'invalid_request'],
    ['a challenge that is too short', { code_challenge: 'short' }, 400, 'invalid_request'],
  ] as const;
  for (const [what, parameters, status, code] of refusals) {
    it(`shows an error page and redirects nowhere for ${what}`, async (t) => {
      const { client } = await startPracticeWorld(t);
      const { url } = startConsent(client, { ...usualRequest, ...parameters });
      const response = await fetch(url, { redirect: 'manual' });
      assert.equal(response.status, status);
      assert.equal(response.headers.get('location'), null);
      assert.match(await response.text(), new RegExp(`Error ${status}: ${code}`));
    });
  }

  it('shows an error page for a parameter that appears twice', async (t) => {
    const { google, client } = await startPracticeWorld(t);
    const { url } = startConsent(client, usualRequest);
    await assert.rejects(google.consent(`${url}&state=again`, { account: owner.email }), ConsentPageError);
  });

  it('shows an error page for a deleted client', async (t) => {
    const { consent } = await startPracticeWorld(t, { settings: { status: 'deleted' } });
    await assert.rejects(consent(), /deleted_client/);
  });

  it('does not let a finished consent be answered again', async (t) => {
    const { google, consent } = await startPracticeWorld(t);
    await consent();
    const [answered] = google.counts.log({ endpoint: 'consent' });
    const form = new URLSearchParams({ ...answered?.parameters, decision: 'allow' });
    const page = await fetch(`${google.url}/o/oauth2/consent`, { method: 'POST', body: form, redirect: 'manual' });
    assert.equal(page.status, 400);
    assert.match(await page.text(), /This consent is over/);
  });

  it('says on every page that it is not Google, runs no script and loads nothing', async (t) => {
    const { client } = await startPracticeWorld(t);
    const { url } = startConsent(client, usualRequest);
    for (const page of [url, `${url}&state=again`]) {
      const response = await fetch(page);
      const html = await response.text();
      assert.match(html, /Practice Google — not Google/);
      assert.doesNotMatch(html, /<script|<link|<img|src=|https?:\/\//);
      assert.match(response.headers.get('content-security-policy') ?? '', /^default-src 'none'/);
      assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
    }
  });

  it('shows names as text, also those made to look like markup', async (t) => {
    const { google, client } = await startPracticeWorld(t, { settings: { applicationName: '<b>"Bold" & co</b>' } });
    google.addAccount({ email: 'x@example.com', name: '<i>x</i>' });
    const html = await (await fetch(startConsent(client, usualRequest).url)).text();
    assert.ok(html.includes('&lt;b&gt;&quot;Bold&quot; &amp; co&lt;/b&gt;') && html.includes('&lt;i&gt;x&lt;/i&gt;'));
    assert.ok(!html.includes('<b>"Bold"') && !html.includes('<i>x'));
  });
});
