import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import * as z from 'zod';
import { BrokerError } from '../../broker/errors.ts';
import { route } from '../../broker/http/api/route.ts';
import type { ErrorAnswer } from '../../broker/http/api/schemas.ts';
import { activeChannel, linkToken } from '../support/fake-flows.ts';
import { startHttpServer, type TestServer } from '../support/http-server.ts';

async function call(
  server: TestServer,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; text: string; json: unknown; error: ErrorAnswer['error'] }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: 'Bearer alice-token',
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const answer = await response.text();
  const json = JSON.parse(answer);
  return { status: response.status, headers: response.headers, text: answer, json, error: json.error };
}

test('a text that the database could not hold is refused, wherever it stands', async () => {
  await using server = await startHttpServer();
  const refused = async (method: string, path: string, body?: object) => {
    const { status, error } = await call(server, method, path, body);
    return [status, ...error.problems];
  };
  const tenant = { name: 'acme', admins: ['user:alice', 'user:\0'] };
  assert.deepEqual(await refused('POST', '/v1/tenants', tenant), [400, 'admins: holds a NUL character']);
  const workload = { spiffe_id: 'spiffe://token-broker.internal/workload/uploader', reason: 'weekly\0show' };
  const path = `/v1/channels/${activeChannel.id}/workloads`;
  assert.deepEqual(await refused('POST', path, workload), [400, 'reason: holds a NUL character']);
  assert.deepEqual(await refused('GET', '/v1/notifications?channel=%00'), [400, 'channel: holds a NUL character']);
});

test('an admin sets a channel up and lets a worker read it', async () => {
  await using server = await startHttpServer({ deps: { publicUrl: 'https://broker.example.com' } });
  const tenant = await call(server, 'POST', '/v1/tenants', { name: 'acme' });
  assert.equal(tenant.status, 201);
  assert.deepEqual(tenant.json, {
    name: 'acme',
    admins: ['user:alice'],
    created_at: '2026-03-01T12:00:00.000Z',
    state: 'active',
  });

  const secret = { name: 'uploads', client_id: 'id', client_secret: 'canary-secret' };
  const client = await call(server, 'POST', '/v1/oauth-clients', secret);
  assert.equal(client.status, 201);
  assert.ok(!client.text.includes('canary'));
  assert.equal(server.flows.clientSecrets[0]?.reveal(), 'canary-secret');

  const added = await call(server, 'POST', '/v1/channels', { tenant: 'acme', name: 'north', oauth_client: 'uploads' });
  assert.equal(added.status, 201);
  const { channel, consent_link } = added.json as { channel: { id: string; state: string }; consent_link: unknown };
  assert.equal(channel.state, 'pending_consent');
  assert.deepEqual(consent_link, {
    url: `https://broker.example.com/consent/${linkToken}`,
    expires_at: '2026-03-04T12:00:00.000Z',
  });

  const workload = { spiffe_id: 'spiffe://token-broker.internal/workload/uploader', reason: 'weekly show' };
  const allowed = await call(server, 'POST', `/v1/channels/${channel.id}/workloads`, workload);
  assert.equal(allowed.status, 200);
  const shown = await call(server, 'GET', `/v1/channels/${channel.id}`);
  assert.deepEqual((shown.json as { workloads: unknown[] }).workloads, [
    {
      ...workload,
      channel: channel.id,
      tenant: 'acme',
      scopes: null,
      expires_at: null,
      accepts_wider_token: false,
      created_by: 'alice',
      created_at: '2026-03-01T12:00:00.000Z',
    },
  ]);
});

test('a channel shows its state, and nothing of its refresh token', async () => {
  const failing = {
    ...activeChannel,
    grant: { ...activeChannel.grant, lastFailure: 'unavailable', refreshFailures: 3 },
  };
  await using server = await startHttpServer({
    flows: {
      showChannel: async () => ({ channel: failing as typeof activeChannel, consent: undefined, workloads: [] }),
    },
  });
  const { text: answer, json } = await call(server, 'GET', `/v1/channels/${activeChannel.id}`);
  const { channel } = json as { channel: { degraded: boolean; grant: Record<string, unknown> } };
  assert.equal(channel.degraded, true);
  assert.equal(channel.grant.youtube_title, 'North Studio');
  assert.equal(channel.grant.token_expires_at, '2026-03-01T13:00:00.000Z');
  assert.equal(channel.grant.last_failure, 'unavailable');
  assert.doesNotMatch(answer, /canary|vault:/);
});

test('the caller is the person in the token', async () => {
  await using server = await startHttpServer();
  const alice = await call(server, 'GET', '/v1/whoami');
  assert.deepEqual(alice.json, {
    subject: 'alice',
    name: 'Alice Archer',
    groups: ['studio', 'operators'],
    principals: ['user:alice', 'group:studio', 'group:operators'],
  });
  const bob = await call(server, 'GET', '/v1/whoami', undefined, { authorization: 'Bearer bob-token' });
  assert.deepEqual(bob.json, { subject: 'bob', name: null, groups: [], principals: ['user:bob'] });
});

test('the names of the claims are configuration', async () => {
  await using server = await startHttpServer({
    deps: {
      claims: { subject: 'upn', name: 'display', groups: 'roles' },
      verifyIdentity: async () => ({ sub: 'x', upn: 'alice@acme', display: 'Alice', roles: 'one-group' }),
    },
  });
  const { json } = await call(server, 'GET', '/v1/whoami');
  assert.deepEqual(json, {
    subject: 'alice@acme',
    name: 'Alice',
    groups: ['one-group'],
    principals: ['user:alice@acme', 'group:one-group'],
  });
});

for (const [name, authorization] of [
  ['without a token', undefined],
  ['with a token of another scheme', 'Basic YWxpY2U6YQ=='],
  ['with a token that is not good', 'Bearer forged-token'],
  ['with a token without subject', 'Bearer nameless-token'],
  ['with a token of an empty subject', 'Bearer empty-token'],
] as const) {
  test(`a call ${name} is answered 401 and audited`, async () => {
    await using server = await startHttpServer();
    const response = await fetch(`${server.url}/v1/tenants`, {
      headers: { ...(authorization && { authorization }), 'x-request-id': 'req-7' },
    });
    const { error } = (await response.json()) as ErrorAnswer;
    assert.equal(response.status, 401);
    assert.equal(error.code, 'UNAUTHENTICATED');
    assert.equal(response.headers.get('www-authenticate'), 'Bearer realm="token-broker"');
    assert.deepEqual(
      server.flows.denied.map(({ ip, requestId }) => ({ ip, requestId })),
      [{ ip: '127.0.0.1', requestId: response.headers.get('x-request-id') }],
    );
    assert.doesNotMatch(JSON.stringify([server.flows.denied, server.logged, error]), /forged-token/);
  });
}

test('a refusal of an identity that cannot be recorded is still a refusal', async () => {
  await using server = await startHttpServer({
    flows: {
      recordDeniedIdentity: async () => {
        throw new BrokerError('AUDIT_UNAVAILABLE');
      },
    },
  });
  const { status } = await call(server, 'GET', '/v1/whoami', undefined, { authorization: 'Bearer forged' });
  assert.equal(status, 503);
});

test('a refusal has its code, the next step and the id to ask by; the cause stays in the log', async () => {
  await using server = await startHttpServer({
    flows: {
      listTenants: async () => {
        throw new BrokerError('VAULT_SEALED', { detail: 'canary-detail', cause: new Error('canary'), retryAfter: 30 });
      },
    },
  });
  const { status, headers, text: answer, error } = await call(server, 'GET', '/v1/tenants');
  assert.equal(status, 503);
  assert.equal(headers.get('retry-after'), '30');
  assert.deepEqual(error, {
    code: 'VAULT_SEALED',
    message: 'The key store is sealed.',
    next: 'An operator has to unseal Vault; try again after that.',
    problems: [],
    request_id: headers.get('x-request-id'),
  });
  assert.doesNotMatch(answer, /canary/);
  assert.match(server.logged.join(), /canary-detail/);
});

test('what nobody foresaw is INTERNAL, without a word of it', async () => {
  await using server = await startHttpServer({
    flows: {
      listTenants: async () => {
        throw new TypeError('canary is not a function');
      },
    },
  });
  const { status, text: answer, error } = await call(server, 'GET', '/v1/tenants');
  assert.equal(status, 500);
  assert.equal(error.code, 'INTERNAL');
  assert.doesNotMatch(answer, /canary|TypeError|\.ts/);
});

test('every field that is wrong is named, with the rule', async () => {
  await using server = await startHttpServer();
  const body = { name: 'North Studio', oauth_client: 7, region: 'EU', admins: ['alice'], nme: 1, refresh_token: 'x' };
  const { status, error } = await call(server, 'POST', '/v1/channels', body);
  assert.equal(status, 400);
  assert.deepEqual(error.problems, [
    'tenant: is missing',
    'name: use 1 to 40 lower-case letters, digits and hyphens, starting with a letter',
    'oauth_client: must be a string',
    'region: use 1 to 40 lower-case letters, digits and hyphens, starting with a letter',
    'admins.0: write user:SUBJECT or group:NAME',
    'nme: is not a field here',
    'refresh_token: is not a field here',
  ]);
});

for (const [name, body, type, problem] of [
  ['that is missing', undefined, 'application/json', 'name: is missing'],
  ['that is not JSON', '{', 'application/json', 'body: must be JSON in UTF-8'],
  ['that is a form', 'name=acme', 'application/x-www-form-urlencoded', 'content-type: must be application/json'],
  ['that is text', '{}', 'text/plain', 'content-type: must be application/json'],
  ['that is too large', `{"name":"${'x'.repeat(70_000)}"}`, 'application/json', 'body: is too large'],
  ['in another charset', '{}', 'application/json; charset=latin1', 'body: must be JSON in UTF-8'],
] as const) {
  test(`a body ${name} is refused`, async () => {
    await using server = await startHttpServer();
    const { status, error } = await call(server, 'POST', '/v1/tenants', body, { 'content-type': type });
    assert.equal(status, 400);
    assert.deepEqual(error.problems, [problem]);
  });
}

test('filters are checked, and a repeated one is refused', async () => {
  await using server = await startHttpServer();
  const one = await call(server, 'GET', '/v1/channels?tenant=acme&state=active');
  assert.equal((one.json as { channels: unknown[] }).channels.length, 1);
  const none = await call(server, 'GET', '/v1/channels?state=blocked');
  assert.deepEqual(none.json, { channels: [] });
  for (const query of ['state=dead', 'state=active&state=blocked', 'sort=name']) {
    assert.equal((await call(server, 'GET', `/v1/channels?${query}`)).status, 400, query);
  }
});

test('no web page can use the API: cookies are refused and no preflight is answered', async () => {
  await using server = await startHttpServer();
  const withCookie = await call(server, 'GET', '/v1/whoami', undefined, { cookie: 'a=b' });
  assert.equal(withCookie.status, 400);
  assert.match(withCookie.error.problems[0] ?? '', /takes no cookies/);
  const preflight = await fetch(`${server.url}/v1/tenants`, {
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
  });
  assert.ok(!preflight.ok);
  for (const name of preflight.headers.keys()) assert.doesNotMatch(name, /^access-control/);
});

test('an unknown method and an unknown path say so', async () => {
  await using server = await startHttpServer();
  const method = await call(server, 'DELETE', '/v1/tenants');
  assert.equal(method.status, 405);
  assert.equal(method.headers.get('allow'), 'GET, POST');
  const path = await call(server, 'GET', '/v1/nothing');
  assert.equal(path.status, 404);
  assert.equal(path.error.code, 'NOT_FOUND');
  assert.equal((await call(server, 'GET', '/v1/channels/%E0%A4')).status, 404);
});

test('a request id begins with what the caller gave, where that is harmless, and is never the same twice', async () => {
  await using server = await startHttpServer();
  const ids = new Set<string>();
  for (let n = 0; n < 5; n += 1) {
    const kept = await call(server, 'GET', '/v1/whoami', undefined, { 'x-request-id': 'trace-1.2_3' });
    const id = kept.headers.get('x-request-id') ?? '';
    assert.match(id, /^trace-1\.2_3\.[0-9a-f]{16}@test$/);
    ids.add(id);
  }
  assert.equal(ids.size, 5, 'two acts with one id, in one millisecond, would be one on record');
  for (const bad of ['a b', '<x>', 'x'.repeat(65)]) {
    const replaced = await call(server, 'GET', '/v1/whoami', undefined, { 'x-request-id': bad });
    assert.match(replaced.headers.get('x-request-id') ?? '', /^[0-9a-f]{16}@test$/);
  }
});

test('no answer is stored', async () => {
  await using server = await startHttpServer();
  for (const path of ['/v1/whoami', '/v1/openapi.json', '/v1/nothing']) {
    assert.equal((await call(server, 'GET', path)).headers.get('cache-control'), 'no-store');
  }
});

test('nobody unknown makes the server read a body', async () => {
  await using server = await startHttpServer();
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  // The body is announced and never sent; the answer comes all the same.
  socket.write(
    'POST /v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n',
  );
  assert.match(await text(socket), /^HTTP\/1.1 401 /);
});

test('what a schema does not name never leaves, whatever a view puts in', async () => {
  const { run } = route(
    { method: 'get', path: '/v1/x', operationId: 'x', summary: 'X.', status: 200 },
    { answer: z.object({ name: z.string() }) },
    async () => ({ name: 'a', refresh_token: 'canary' }),
  );
  await using server = await startHttpServer();
  const caller = {
    kind: 'person',
    subject: 'a',
    displayName: undefined,
    groups: [],
    ip: undefined,
    requestId: 'r',
  } as const;
  const deps = { flows: server.flows, publicUrl: 'https://broker.example.com' };
  assert.deepEqual(
    await run(
      {
        caller,
        body: undefined,
        query: {},
        channel: '',
        tenant: '',
        notification: '',
        oauthClient: '',
        signal: new AbortController().signal,
      },
      deps,
    ),
    { name: 'a' },
  );
});
