import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { BrokerError, type ErrorCode } from '../../broker/errors.ts';
import { createCookieJar } from '../support/cookie-jar.ts';
import { browserSecret, linkToken, state } from '../support/fake-flows.ts';
import { startHttpServer, type TestServer } from '../support/http-server.ts';

const callback = `/oauth2/callback?state=${state}&code=canary-code&scope=a%20b`;

function start(server: TestServer, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.url}/consent/${linkToken}`, { method: 'POST', redirect: 'manual', headers });
}

test('the link shows who asks and for what, and starts nothing', async () => {
  let begun = 0;
  await using server = await startHttpServer({
    flows: {
      beginConsent: async () => {
        begun += 1;
        throw new BrokerError('INTERNAL');
      },
    },
  });
  const response = await fetch(`${server.url}/consent/${linkToken}`);
  const page = await response.text();
  assert.equal(response.status, 200);
  assert.match(page, /<strong>acme<\/strong> asks for your permission/);
  assert.match(page, /upload videos to your channel/);
  assert.equal(begun, 0);
  assert.deepEqual(response.headers.getSetCookie(), []);
});

test('a link that is not valid is a page with status 400', async () => {
  await using server = await startHttpServer();
  const response = await fetch(`${server.url}/consent/another-link`);
  assert.equal(response.status, 400);
  assert.match(await response.text(), /This link does not work any more/);
});

test('an owner goes to Google and comes back to a page that neither shows nor keeps code and state', async () => {
  const seen: unknown[] = [];
  await using server = await startHttpServer({
    flows: {
      completeConsent: async (caller, input) => {
        seen.push(caller.kind, caller.ip, input.parameters, input.browserSecret?.reveal());
        return { kind: 'completed', tenant: 'acme', channelName: 'north-studio', youtubeTitle: 'North <Studio>' };
      },
    },
  });
  const jar = createCookieJar();
  const started = await start(server);
  jar.take(started);
  assert.equal(started.status, 303);
  assert.equal(started.headers.get('location'), `https://accounts.example.com/authorize?state=${state}`);

  const back = await fetch(`${server.url}${callback}&state=twice`, {
    redirect: 'manual',
    headers: { cookie: jar.header() },
  });
  jar.take(back);
  assert.equal(back.status, 303);
  const location = back.headers.get('location') ?? '';
  assert.match(location, /^\/consent\/result\/[\w-]{16}$/);
  assert.deepEqual(seen, [
    'owner',
    '127.0.0.1',
    [
      ['state', state],
      ['code', 'canary-code'],
      ['scope', 'a b'],
      ['state', 'twice'],
    ],
    browserSecret,
  ]);

  for (const visit of ['first', 'reloaded']) {
    const result = await fetch(`${server.url}${location}`, { headers: { cookie: jar.header() } });
    const page = await result.text();
    assert.match(page, /North &lt;Studio&gt; is connected/, visit);
    assert.ok(!page.includes('canary-code') && !page.includes(state));
    assert.match(page, new RegExp(`<code>${back.headers.get('x-request-id')}</code>`), 'shows the id of the callback');
  }
  assert.ok(!server.logged.join().includes('canary-code'));
});

test('over https the cookies are of this host only, over loopback http they do without what http has not', async () => {
  for (const [publicUrl, shape] of [
    [
      'https://broker.example.com',
      /^__Host-consent-[\w-]{16}=[^;]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    ],
    ['http://127.0.0.1:8080', /^consent-[\w-]{16}=[^;]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/],
  ] as const) {
    await using server = await startHttpServer({ deps: { publicUrl } });
    const cookies = (await start(server)).headers.getSetCookie();
    assert.equal(cookies.length, 1);
    assert.match(cookies[0] ?? '', shape);
  }
});

test('the answer is taken to a browser only with that browser’s secret, and the secret is used once', async () => {
  await using server = await startHttpServer();
  const jar = createCookieJar();
  jar.take(await start(server));
  const own = jar.header();

  const stranger = await fetch(`${server.url}${callback}`, { redirect: 'manual' });
  const strangersJar = createCookieJar();
  strangersJar.take(stranger);
  const shown = await fetch(new URL(stranger.headers.get('location') ?? '', server.url), {
    headers: { cookie: strangersJar.header() },
  });
  assert.match(await shown.text(), /We cannot match Google’s answer to you/);

  const back = await fetch(`${server.url}${callback}`, { redirect: 'manual', headers: { cookie: own } });
  jar.take(back);
  assert.ok(!jar.header().includes(browserSecret), 'the cookie is cleared');
});

test('two consents in one browser do not disturb each other', async () => {
  let begun = 0;
  await using server = await startHttpServer({
    flows: {
      completeConsent: async (_caller, { parameters, browserSecret: given }) => {
        const own = new Map(parameters).get('state');
        const youtubeTitle = `${own} with ${given ? 'its secret' : 'no secret'}`;
        return { kind: 'completed', tenant: 'acme', channelName: 'n', youtubeTitle };
      },
      beginConsent: async () => {
        begun += 1;
        return {
          authorizationUrl: `https://a.example.com/?state=s${begun}`,
          browserSecret: new Secret(`${browserSecret}${begun}`),
          expiresAt: new Date(),
        };
      },
    },
  });
  const jar = createCookieJar();
  jar.take(await start(server));
  jar.take(await start(server));
  for (const own of ['s1', 's2']) {
    const back = await fetch(`${server.url}/oauth2/callback?state=${own}&code=c`, {
      redirect: 'manual',
      headers: { cookie: jar.header() },
    });
    jar.take(back);
    const page = await fetch(new URL(back.headers.get('location') ?? '', server.url), {
      headers: { cookie: jar.header() },
    });
    assert.match(await page.text(), new RegExp(`${own} with its secret`));
  }
});

test('an owner whose consent failed is told why, and can start again from there', async () => {
  await using server = await startHttpServer({
    flows: {
      completeConsent: async () => ({
        kind: 'failed',
        failure: 'scope_missing',
        tenant: 'acme',
        channelName: 'n',
        facts: { missingScopes: ['https://www.googleapis.com/auth/youtube.upload'] },
      }),
    },
  });
  const jar = createCookieJar();
  jar.take(await start(server));
  const back = await fetch(`${server.url}${callback}`, { redirect: 'manual', headers: { cookie: jar.header() } });
  jar.take(back);
  const result = await fetch(new URL(back.headers.get('location') ?? '', server.url), {
    headers: { cookie: jar.header() },
  });
  const page = await result.text();
  assert.match(page, /left out: “Manage your YouTube videos”/);
  assert.match(page, new RegExp(`href="/consent/${linkToken}"`));
});

test('a browser that keeps no cookies is told so', async () => {
  await using server = await startHttpServer();
  const response = await fetch(`${server.url}${callback}`);
  assert.match(response.url, /\/consent\/result\//);
  assert.match(await response.text(), /If your browser blocks cookies, allow them/);
});

test('a start from another website is refused, one from our page or by hand is not', async () => {
  await using server = await startHttpServer();
  for (const [site, status] of [
    ['cross-site', 400],
    ['same-site', 400],
    ['same-origin', 303],
    ['none', 303],
  ] as const) {
    assert.equal((await start(server, { 'sec-fetch-site': site })).status, status, site);
  }
});

for (const [code, status, title] of [
  ['STORE_UNAVAILABLE', 503, 'We are having trouble'],
  ['VAULT_SEALED', 503, 'We are having trouble'],
  ['RATE_LIMITED', 429, 'We are having trouble'],
  ['INTERNAL', 500, 'We are having trouble'],
] as const satisfies readonly (readonly [ErrorCode, number, string])[]) {
  test(`${code} is a page without its cause; the log has it`, async () => {
    const failing = async (): Promise<never> => {
      throw new BrokerError(code, { detail: 'canary-detail', cause: new Error('canary-cause'), retryAfter: 1.2 });
    };
    await using server = await startHttpServer({ flows: { viewConsent: failing, completeConsent: failing } });
    const response = await fetch(`${server.url}/consent/${linkToken}`);
    const page = await response.text();
    assert.equal(response.status, status);
    assert.equal(response.headers.get('retry-after'), '2');
    assert.match(page, new RegExp(title));
    assert.doesNotMatch(page, /canary/);
    assert.match(server.logged.join(), new RegExp(`${response.headers.get('x-request-id')}.*canary-detail`));
    const back = await fetch(`${server.url}${callback}`, { redirect: 'manual' });
    assert.equal(back.status, 303, 'also a failure leaves the URL of the callback');
  });
}

test('what is thrown and not ours is our trouble, without a word of it', async () => {
  await using server = await startHttpServer({
    flows: {
      viewConsent: async () => {
        throw new TypeError('canary of undefined');
      },
    },
  });
  const response = await fetch(`${server.url}/consent/${linkToken}`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /canary|TypeError/);
});

test('every page is guarded: nothing foreign is loaded, framed, stored or told where it came from', async () => {
  await using server = await startHttpServer({ deps: { publicUrl: 'https://broker.example.com' } });
  for (const path of [
    `/consent/${linkToken}`,
    '/consent/x',
    callback,
    '/consent/result/x',
    '/nothing',
    '/consent/%E0%A4',
  ]) {
    const { headers } = await fetch(`${server.url}${path}`, { redirect: 'manual' });
    assert.equal(
      headers.get('content-security-policy'),
      "default-src 'none';style-src 'self';form-action 'self' https://accounts.example.com;frame-ancestors 'none';base-uri 'none'",
      path,
    );
    assert.equal(headers.get('cache-control'), 'no-store', path);
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
    assert.equal(headers.get('strict-transport-security'), 'max-age=31536000');
    assert.equal(headers.get('x-powered-by'), null);
    assert.equal(headers.get('access-control-allow-origin'), null);
  }
});

test('an address that is nothing is a kind page with status 404', async () => {
  await using server = await startHttpServer();
  for (const path of ['/', '/wp-login.php', '/consent/a/b', '/consent/%E0%A4']) {
    const response = await fetch(`${server.url}${path}`);
    assert.equal(response.status, 404, path);
    assert.match(await response.text(), /There is nothing here/);
  }
});

test('the client’s address is the one behind the configured proxies', async () => {
  const ips: (string | undefined)[] = [];
  const flows = {
    viewConsent: async (caller: { ip: string | undefined }) => {
      ips.push(caller.ip);
      throw new BrokerError('INVALID_CONSENT_LINK');
    },
  };
  const headers = { 'x-forwarded-for': '1.2.3.4, 203.0.113.9' };
  await using trusting = await startHttpServer({ flows, deps: { trustedProxies: ['127.0.0.0/8'] } });
  await fetch(`${trusting.url}/consent/x`, { headers });
  await using wary = await startHttpServer({ flows });
  await fetch(`${wary.url}/consent/x`, { headers });
  assert.deepEqual(ips, ['203.0.113.9', '127.0.0.1']);
});
