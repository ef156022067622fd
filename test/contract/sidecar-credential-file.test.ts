/** The token endpoint of credential files, byte by byte; with the real libraries it is in test/clients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SidecarError, sidecarError } from '../../sidecar/errors.ts';
import { useLocalServer } from '../support/local-server.ts';

const PATH = '/v1/channels/ch_1/oauthtoken';
const FORM = 'grant_type=refresh_token&refresh_token=ch_1';
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

type Server = Awaited<ReturnType<typeof useLocalServer>>;

/** Asks as Google's libraries do, with these changes. */
async function ask(server: Server, change: { headers?: Record<string, string>; path?: string; body?: string } = {}) {
  const { headers = {}, path = PATH, body = FORM } = change;
  const authorization = basic('ch_1', server.secrets.of('ch_1'));
  const usual = { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: authorization };
  const all = { ...usual, 'Content-Length': String(body.length), 'X-Sidecar-Request': '', ...headers };
  const answer = await server.send(path, { method: 'POST', headers: all }, body);
  const { error, error_description, ...rest } = JSON.parse(answer.body) as Record<string, string | undefined>;
  return { ...answer, error, description: error_description ?? '', rest };
}

test('gives the token of the channel to whoever has its file', async (t) => {
  const server = await useLocalServer(t);
  const { status, headers, rest } = await ask(server);
  assert.equal(status, 200);
  assert.equal(headers['cache-control'], 'no-store');
  const { expires_in, ...others } = rest;
  assert.deepEqual(others, { access_token: 'ya29.local', token_type: 'Bearer', scope: 'upload' });
  assert.ok(Number.isInteger(expires_in) && Number(expires_in) > 3_590);
  server.flush();
  assert.match(server.lines[0] ?? '', /"interface":"credential-file","channel":"ch_1"/);
  assert.ok(server.counted.includes('credential-file ok other broker'));
});

test('answers invalid_client, in a sentence, to a wrong secret, another channel’s, or none', async (t) => {
  const server = await useLocalServer(t);
  const wrong = [
    basic('ch_1', 'wrong'),
    basic('ch_2', server.secrets.of('ch_1')),
    basic('ch_1', server.secrets.of('ch_2')),
    'Bearer x',
    '',
  ];
  for (const Authorization of wrong) {
    const { status, headers, error, description } = await ask(server, { headers: { Authorization } });
    assert.deepEqual([status, error, headers['www-authenticate']], [401, 'invalid_client', 'Basic realm="sidecar"']);
    assert.match(description, /^LOCAL_SECRET_REFUSED: This is not the secret in the channel's credential file\. /);
  }
  const path = '/v1/channels/ch_unknown/oauthtoken';
  assert.equal((await ask(server, { path })).status, 401);
  assert.deepEqual(server.calls, []);
});

test('refuses what a page, a proxy or another grant sends, also with the right secret', async (t) => {
  const server = await useLocalServer(t);
  const refused = [
    [{ headers: { Origin: 'https://evil.example' } }, 403, 'BROWSER_REFUSED'],
    [{ headers: { 'X-Forwarded-For': '10.0.0.1' } }, 403, 'FORWARDED_REFUSED'],
    [{ headers: { Host: 'evil.example' } }, 403, 'HOST_REFUSED'],
    [{ body: 'grant_type=authorization_code&code=x' }, 400, 'INVALID_REQUEST'],
    [{ body: `${FORM}&x=${'x'.repeat(5_000)}` }, 413, 'BODY_REFUSED'],
  ] as const;
  for (const [change, status, code] of refused) {
    const answer = await ask(server, change);
    assert.deepEqual([answer.status, answer.description.split(':')[0]], [status, code]);
  }
  const { status, headers } = await server.send(PATH);
  assert.deepEqual([status, headers.allow], [405, 'POST']);
  assert.deepEqual(server.calls, []);
});

const failures: readonly [error: SidecarError, status: number, error: string, retryAfter: string | undefined][] = [
  [refusal('RECONSENT_REQUIRED'), 403, 'invalid_grant', undefined],
  [refusal('ACCESS_DENIED'), 403, 'unauthorized_client', undefined],
  [sidecarError('STARTING'), 503, 'temporarily_unavailable', '2'],
  [sidecarError('BROKER_UNREACHABLE'), 503, 'temporarily_unavailable', '2'],
];

for (const [failure, status, error, retryAfter] of failures)
  test(`answers ${error} where it is ${failure.code}, with the sentence`, async (t) => {
    const server = await useLocalServer(t);
    server.answers(() => {
      throw failure;
    });
    const answer = await ask(server);
    assert.deepEqual([answer.status, answer.error, answer.headers['retry-after']], [status, error, retryAfter]);
    assert.ok(answer.description.startsWith(`${failure.code}: `));
    assert.match(answer.description, /^[\x20-\x7e]+$/, 'Python shows other characters as escapes');
  });

function refusal(code: string): SidecarError {
  const sentence = 'The channel’s owner has to act.';
  return new SidecarError({ code, http: 403, sentence, next: undefined, retryAfter: undefined });
}
