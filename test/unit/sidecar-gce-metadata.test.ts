import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { answerError, createGceMetadataEndpoint } from '../../sidecar/endpoints/gce-metadata.ts';
import { listen } from '../../sidecar/endpoints/listen.ts';
import { SidecarError, sidecarError } from '../../sidecar/errors.ts';
import { createTokenSource } from '../../sidecar/token-source.ts';
import { endpointParts } from '../support/local-callers.ts';

const ROOT = '/computeMetadata/v1';
const ACCOUNT = `${ROOT}/instance/service-accounts/default`;
const EMAIL = 'ch_1@media.example';
const UPLOAD = 'https://www.googleapis.com/auth/youtube.upload';
const READ = 'https://www.googleapis.com/auth/youtube.readonly';

/** A metadata server for a channel with two scopes, or for one that always fails. */
async function useMetadataServer(t: TestContext, failure?: SidecarError) {
  const log = { info() {}, warn() {}, error() {} };
  const tokens = createTokenSource({
    broker: {
      async getAccessToken() {
        if (failure) throw failure;
        const expiresAt = Date.now() + 3_600_000;
        return {
          channelId: 'ch_1',
          accessToken: 'ya29.a',
          expiresAt,
          scopes: [UPLOAD, READ],
          youtubeChannelId: 'UC1',
          generation: 1,
        };
      },
    },
    log,
    now: Date.now,
    random: Math.random,
    patienceMs: 30_000,
    recheckMs: 15_000,
  });
  t.after(tokens.stop);
  const { parts } = endpointParts(tokens);
  const endpoint = createGceMetadataEndpoint({ channelId: 'ch_1', email: EMAIL, ...parts });
  const { greet } = parts.callers;
  const listener = await listen({ host: '127.0.0.1', port: 0 }, endpoint, { greet, answerError });
  t.after(listener.close);
  const get = (path: string, headers: Record<string, string> = { 'Metadata-Flavor': 'Google' }, method = 'GET') =>
    new Promise<{ status: number | undefined; headers: NodeJS.Dict<string | string[]>; body: string }>(
      (resolve, reject) => {
        const sent = request(`${listener.url}${path}`, { headers, method, agent: false }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }),
          );
        });
        sent.on('error', reject);
        sent.end();
      },
    );
  return get;
}

const texts: readonly [path: string, body: string][] = [
  ['/', 'computeMetadata/\n'],
  ['/computeMetadata/', 'v1/\n'],
  [`${ROOT}/`, 'instance/\nuniverse/\n'],
  [`${ROOT}/instance`, 'service-accounts/\n'],
  [`${ROOT}/instance/`, 'service-accounts/\n'],
  [`${ROOT}/instance/service-accounts/`, `default/\n${EMAIL}/\n`],
  [`${ACCOUNT}/`, 'aliases\nemail\nscopes\ntoken\n'],
  [`${ACCOUNT}/email`, EMAIL],
  [`${ROOT}/instance/service-accounts/${EMAIL}/email`, EMAIL],
  [`${ROOT}/instance/service-accounts/${encodeURIComponent(EMAIL)}/email`, EMAIL],
  [`${ACCOUNT}/aliases`, 'default\n'],
  [`${ACCOUNT}/scopes`, `${UPLOAD}\n${READ}\n`],
  [`${ROOT}/universe/universe-domain`, 'googleapis.com'],
  [`${ROOT}/universe/universe_domain`, 'googleapis.com'],
];

for (const [path, body] of texts)
  test(`answers ${path} as Google's metadata server does`, async (t) => {
    const get = await useMetadataServer(t);
    const answer = await get(path);
    assert.deepEqual([answer.status, answer.body], [200, body]);
    assert.equal(answer.headers['content-type'], 'application/text');
    assert.match(String(answer.headers.etag), /^[0-9a-f]{16}$/);
  });

const tokenPaths = [
  `${ACCOUNT}/token`,
  `${ROOT}/instance/service-accounts/${EMAIL}/token`,
  `${ACCOUNT}/token?scopes=${encodeURIComponent(`${UPLOAD},${READ}`)}`,
  `${ACCOUNT}/token?scopes=${UPLOAD}&bindCertificateFingerprint=x&transport=mtls&binding-enforcement=on`,
];

for (const path of tokenPaths)
  test(`gives a token at ${path}`, async (t) => {
    const get = await useMetadataServer(t);
    const answer = await get(path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'application/json');
    const { access_token, expires_in, token_type, ...rest } = JSON.parse(answer.body) as Record<string, unknown>;
    assert.deepEqual([access_token, token_type, rest], ['ya29.a', 'Bearer', {}]);
    assert.ok(Number.isInteger(expires_in) && Number(expires_in) > 3_590 && Number(expires_in) <= 3_600);
  });

test('tells about the account with ?recursive=true', async (t) => {
  const get = await useMetadataServer(t);
  for (const path of [`${ACCOUNT}/?recursive=true`, `${ACCOUNT}?recursive=True`]) {
    const answer = await get(path);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.deepEqual(JSON.parse(answer.body), { aliases: ['default'], email: EMAIL, scopes: [UPLOAD, READ] });
  }
});

test('refuses a scope that the owner has not granted', async (t) => {
  const get = await useMetadataServer(t);
  const answer = await get(`${ACCOUNT}/token?scopes=${UPLOAD},https://www.googleapis.com/auth/drive`);
  assert.equal(answer.status, 403);
  assert.match(answer.body, /^SCOPE_NOT_GRANTED: /);
});

const missing = [
  `${ACCOUNT}/identity?audience=x`,
  `${ROOT}/project/project-id`,
  `${ROOT}/instance/attributes/cluster-name`,
  `${ROOT}/instance/service-accounts/somebody@else.example/token`,
  `${ROOT}/instance/service-accounts/?recursive=true`,
  '/v1/channels/ch_1/token',
  '//evil.example/computeMetadata/v1/instance/service-accounts/default/token',
  `${ACCOUNT}/%2e%2e/default/x`,
];

for (const path of missing)
  test(`has nothing at ${path}`, async (t) => {
    const get = await useMetadataServer(t);
    assert.equal((await get(path)).status, 404);
  });

test('demands the Metadata-Flavor header everywhere but at the root', async (t) => {
  const get = await useMetadataServer(t);
  assert.equal((await get('/', {})).status, 200);
  for (const headers of [{}, { 'Metadata-Flavor': 'google' }, { 'X-Sidecar-Request': 'true' }])
    assert.equal((await get(`${ACCOUNT}/token`, headers as Record<string, string>)).status, 403);
  assert.equal((await get('/', { 'X-Forwarded-For': '10.0.0.1' })).status, 403);
  assert.equal((await get('/', { Host: 'metadata.evil.example' })).status, 403);
});

test('sends the headers of a metadata server on every answer, also on errors', async (t) => {
  const get = await useMetadataServer(t);
  const answers = await Promise.all([get(`${ACCOUNT}/token`), get(`${ACCOUNT}/email`), get('/nothing'), get('/x', {})]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 404, 403],
  );
  for (const { headers } of answers) {
    assert.equal(headers['metadata-flavor'], 'Google');
    assert.equal(headers.server, 'Metadata Server for VM');
    assert.equal(headers['x-xss-protection'], '0');
    assert.equal(headers['x-frame-options'], 'SAMEORIGIN');
    assert.equal(headers['cache-control'], 'no-store');
  }
});

test('sends the headers alone to HEAD, and refuses other methods by name', async (t) => {
  const get = await useMetadataServer(t);
  const head = await get(`${ACCOUNT}/email`, { 'Metadata-Flavor': 'Google' }, 'HEAD');
  assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(EMAIL.length)]);
  const put = await get(`${ACCOUNT}/email`, { 'Metadata-Flavor': 'Google' }, 'PUT');
  assert.deepEqual([put.status, put.headers.allow], [405, 'GET, HEAD']);
});

test('answers 403 in a sentence where nothing helps but somebody acting', async (t) => {
  const sentence = 'The channel owner’s consent has ended. Send the owner a new consent link.';
  const refusal = { code: 'RECONSENT_REQUIRED', http: 403, sentence, next: undefined, retryAfter: undefined };
  const get = await useMetadataServer(t, new SidecarError(refusal));
  for (const path of [`${ACCOUNT}/token`, `${ACCOUNT}/?recursive=true`, `${ACCOUNT}/scopes`]) {
    const answer = await get(path);
    assert.deepEqual([answer.status, answer.body], [403, `RECONSENT_REQUIRED: ${sentence.replace('’', "'")}\n`]);
    assert.equal(answer.headers['content-type'], 'text/html; charset=UTF-8');
    assert.equal(answer.headers['retry-after'], undefined);
  }
});

test('answers 503 with Retry-After where it passes', async (t) => {
  const get = await useMetadataServer(t, sidecarError('BROKER_UNREACHABLE'));
  const answer = await get(`${ACCOUNT}/token`);
  assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '2']);
  assert.match(answer.body, /^BROKER_UNREACHABLE: The broker does not answer\. Try again/);
});

/** The calls of the libraries that no test of ours runs, as their sources have them: path, what comes back. */
const sequences: readonly [
  library: string,
  headers: Record<string, string>,
  calls: readonly [string, number, RegExp][],
][] = [
  [
    'Go (golang.org/x/oauth2/google)',
    { 'Metadata-Flavor': 'Google', 'User-Agent': 'gcloud-golang/0.1' },
    [
      [`${ROOT}/project/project-id`, 404, /^NOT_FOUND/],
      [`${ROOT}/universe/universe_domain`, 200, /^googleapis\.com$/],
      [`${ACCOUNT}/token?scopes=${encodeURIComponent(UPLOAD)}`, 200, /"expires_in":3\d{3},/],
    ],
  ],
  [
    'Go (cloud.google.com/go/auth)',
    { 'Metadata-Flavor': 'Google', 'User-Agent': 'gcloud-golang/0.1' },
    [
      [`${ROOT}/universe/universe-domain`, 200, /^googleapis\.com$/],
      [`${ACCOUNT}/token?scopes=${encodeURIComponent(`${UPLOAD},${READ}`)}`, 200, /"token_type":"Bearer"/],
      [`${ACCOUNT}/email`, 200, /@/],
    ],
  ],
  [
    'Java (google-auth-library-oauth2-http)',
    { 'Metadata-Flavor': 'Google', 'User-Agent': 'Google-HTTP-Java-Client/1.47.0 (gzip)' },
    [
      ['/', 200, /computeMetadata/],
      [`${ROOT}/universe/universe-domain`, 200, /^googleapis\.com$/],
      [`${ACCOUNT}/email`, 200, /@/],
      [
        `${ACCOUNT}/token?scopes=${UPLOAD},${READ}&transport=mtls&binding-enforcement=on`,
        200,
        /"access_token":"ya29\.a"/,
      ],
    ],
  ],
];

for (const [library, headers, calls] of sequences)
  test(`answers each call of ${library}`, async (t) => {
    const get = await useMetadataServer(t);
    for (const [path, status, body] of calls) {
      const answer = await get(path, headers);
      assert.deepEqual([path, answer.status, answer.headers['metadata-flavor']], [path, status, 'Google']);
      assert.match(answer.body, body);
      if (path.includes('/token')) assert.equal(answer.headers['content-type'], 'application/json');
    }
  });
