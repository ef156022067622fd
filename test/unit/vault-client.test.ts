import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { inspect, promisify } from 'node:util';
import { Secret } from '../../broker/domain/secret.ts';
import { createVaultClient, type VaultCall, type VaultClient } from '../../broker/vault/client.ts';
import { createTransport } from '../../broker/vault/transport.ts';
import { VaultFailure } from '../../broker/vault/vault-failure.ts';
import { createAuthority } from '../support/certificates.ts';
import { until } from '../support/poll.ts';

const canary = 'hvs.CANARY-0123456789';
const read: VaultCall = { method: 'GET', path: 'transit/keys/tenant-acme', deadlineMs: 20_000 };
const encrypt: VaultCall = {
  method: 'POST',
  path: 'transit/encrypt/tenant-acme',
  body: { plaintext: canary, batch_input: [{ plaintext: canary }] },
  token: new Secret(`token-${canary}`),
  deadlineMs: 20_000,
};

async function listen(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const scheme = 'addContext' in server ? 'https' : 'http';
  return `${scheme}://localhost:${(server.address() as AddressInfo).port}`;
}

/** Starts a server in Vault's place; `requests` has what it was sent. */
async function useServer(t: TestContext, answer: RequestListener) {
  const requests: IncomingMessage[] = [];
  const address = await listen(
    t,
    createServer((request, response) => {
      requests.push(request);
      answer(request, response);
    }),
  );
  return { address, requests };
}

function useClient(t: TestContext, settings: Parameters<typeof createVaultClient>[0]): VaultClient {
  const client = createVaultClient(settings);
  t.after(client.close);
  return client;
}

const json = (status: number, body: unknown) => (_: IncomingMessage, response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

async function failureOf(call: Promise<unknown>): Promise<VaultFailure> {
  const error = await call.then(
    () => assert.fail('the call succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof VaultFailure, inspect(error));
  return error;
}

test('each request carries the token that it was given, and none where none was given', async (t) => {
  const { address, requests } = await useServer(t, json(200, { data: {} }));
  const client = useClient(t, { address, namespace: 'media' });
  for (const token of [new Secret('t1'), new Secret('t2'), undefined, new Secret('t3')]) {
    await client.send({ ...read, token });
  }
  assert.deepEqual(
    requests.map(({ headers }) => headers['x-vault-token']),
    ['t1', 't2', undefined, 't3'],
  );
  assert.ok(requests.every(({ headers }) => headers['x-vault-request'] === 'true'));
  assert.ok(requests.every(({ headers }) => headers['x-vault-namespace'] === 'media'));
});

test('a redirect is not followed, so that the token goes nowhere else', async (t) => {
  const elsewhere = await useServer(t, json(200, { data: {} }));
  const { address } = await useServer(t, (_, response) => {
    response.writeHead(307, { location: `${elsewhere.address}/v1/anything` }).end();
  });
  const failure = await failureOf(useClient(t, { address }).send(encrypt));
  assert.equal(failure.kind, 'redirected');
  assert.equal(elsewhere.requests.length, 0);
});

test('a server that takes the request and never answers is left at the deadline', async (t) => {
  const { address, requests } = await useServer(t, () => undefined);
  const failure = await failureOf(useClient(t, { address }).send({ ...read, deadlineMs: 50 }));
  assert.equal(failure.kind, 'timed_out');
  assert.equal(requests.length, 1);
});

test('a server that stops in the middle of its answer is left at the deadline', async (t) => {
  const { address } = await useServer(t, (_, response) => response.writeHead(200).write('{"data":'));
  const failure = await failureOf(useClient(t, { address }).send({ ...read, deadlineMs: 200 }));
  assert.equal(failure.kind, 'timed_out');
});

test('a server that answers by another protocol is told as unreachable', async (t) => {
  const { address } = await useServer(t, ({ socket }) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n');
  });
  const failure = await failureOf(useClient(t, { address }).send(read));
  assert.equal(failure.kind, 'unreachable');
});

test('a caller who aborts gets the reason of the abort', async (t) => {
  const controller = new AbortController();
  const { address } = await useServer(t, () => controller.abort(new Error('the caller left')));
  await assert.rejects(useClient(t, { address }).send({ ...read, signal: controller.signal }), /the caller left/);
});

for (const [what, status, kind] of [
  ['a bad request', 400, 'bad_request'],
  ['a refused token', 403, 'forbidden'],
  ['a missing path', 404, 'not_found'],
  ['a quota', 429, 'rate_limited'],
  ['a secondary', 472, 'standby'],
  ['a standby', 473, 'standby'],
  ['an error of the server', 500, 'server_error'],
  ['a load balancer without a backend', 503, 'server_error'],
] as const) {
  test(`${what} (${status}) is told as ${kind}, with what Vault said`, async (t) => {
    const { address } = await useServer(t, json(status, { errors: ['it says so'] }));
    const failure = await failureOf(useClient(t, { address }).send(read));
    assert.deepEqual([failure.kind, failure.status, failure.problems], [kind, status, ['it says so']]);
  });
}

test('calls in turn are sent one after the other, and nobody else waits for them', async (t) => {
  const held: ServerResponse[] = [];
  const { address, requests } = await useServer(t, (request, response) => {
    if (request.url?.endsWith('/in-turn')) held.push(response);
    else json(200, { data: {} })(request, response);
  });
  const client = useClient(t, { address });
  const inTurn = [1, 2, 3].map(() => client.send({ ...encrypt, path: 'in-turn', inTurn: true }));
  await until('the first has come', () => held.length === 1);
  await client.send(read);
  await client.send(read);
  for (const nth of [1, 2, 3]) {
    await until(`the call ${nth} has come`, () => held.length === nth);
    assert.equal(requests.filter(({ url }) => url?.endsWith('/in-turn')).length, nth);
    held[nth - 1]?.end('{}');
    await inTurn[nth - 1];
  }
  assert.equal(new Set(requests.filter(({ url }) => url?.endsWith('/in-turn')).map(({ socket }) => socket)).size, 1);
});

test('a call whose turn does not come is left at the deadline', async (t) => {
  const { address, requests } = await useServer(t, () => undefined);
  const client = useClient(t, { address });
  const stop = new AbortController();
  const first = client.send({ ...encrypt, inTurn: true, signal: stop.signal });
  const failure = await failureOf(client.send({ ...encrypt, inTurn: true, deadlineMs: 50 }));
  assert.equal(failure.kind, 'timed_out');
  assert.equal(requests.length, 1);
  stop.abort(new Error('enough'));
  await assert.rejects(first, /enough/);
});

test('a call that is over leaves nothing with its signal, which would keep what was sent', async (t) => {
  const { address } = await useServer(t, json(200, {}));
  const transport = createTransport({ address });
  t.after(transport.close);
  const { signal } = new AbortController();
  for (const inTurn of [false, true]) {
    await transport.send({ method: 'POST', uri: `${address}/v1/x`, headers: {}, json: {}, signal, inTurn });
  }
  await until('nothing listens any more', () => getEventListeners(signal, 'abort').length === 0);
});

test('a sealed Vault (503) is told from a dead load balancer by the field of sys/health', async (t) => {
  const { address } = await useServer(t, (request, response) => {
    const isHealth = request.url?.startsWith('/v1/sys/health');
    json(503, isHealth ? { sealed: true, initialized: true } : { errors: ['Vault is sealed'] })(request, response);
  });
  assert.equal((await failureOf(useClient(t, { address }).send(read))).kind, 'sealed');
});

test('a port where nobody listens is told as unreachable', async (t) => {
  const server = createServer();
  const address = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  const failure = await failureOf(useClient(t, { address }).send(encrypt));
  assert.equal(failure.kind, 'unreachable');
  assert.doesNotMatch(inspect(failure, { depth: null, showHidden: true }), /CANARY/);
});

test('no error holds the token or anything of the body, also where the server sends it back', async (t) => {
  const echo = await useServer(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const all = `${request.headers['x-vault-token']} ${Buffer.concat(chunks)}`;
      json(400, { errors: [`cannot use ${all}`], data: all })(request, response);
    });
  });
  const refused = await failureOf(useClient(t, { address: echo.address }).send(encrypt));
  assert.equal(refused.problems.length, 1);
  assert.match(refused.problems[0] ?? '', /^cannot use \[secret\]/);

  const silent = await useServer(t, () => undefined);
  const late = await failureOf(useClient(t, { address: silent.address }).send({ ...encrypt, deadlineMs: 50 }));
  const reset = await useServer(t, (request) => request.socket.destroy());
  const lost = await failureOf(useClient(t, { address: reset.address }).send(encrypt));
  for (const failure of [refused, late, lost]) {
    assert.doesNotMatch(inspect(failure, { depth: null, showHidden: true }), /CANARY/);
    assert.doesNotMatch(failure.stack ?? '', /CANARY/);
  }
});

test('the server’s certificate is checked, with the given authority and no other', async (t) => {
  const authority = await createAuthority();
  const { certificatePem: cert, privateKeyPem: key } = await authority.issue({ subject: 'CN=localhost' });
  const address = await listen(t, createSecureServer({ cert, key }, json(200, { data: 'served' })));
  const trusting = useClient(t, { address, caCertPem: authority.certificatePem });
  assert.deepEqual(await trusting.send(read), { data: 'served' });
  assert.equal((await failureOf(useClient(t, { address }).send(encrypt))).kind, 'unreachable');
  const { certificatePem } = await createAuthority();
  assert.equal(
    (await failureOf(useClient(t, { address, caCertPem: certificatePem }).send(encrypt))).kind,
    'unreachable',
  );
});

test('nothing is taken from the environment: no proxy, token, namespace, prefix, debug output, or unchecked TLS', async (t) => {
  const proxy = await useServer(t, json(200, { data: 'from the proxy' }));
  const vault = await useServer(t, json(200, { data: 'from vault' }));
  const { certificatePem: cert, privateKeyPem: key } = await createAuthority({ isAuthority: false });
  const untrusted = await listen(t, createSecureServer({ cert, key }, json(200, { data: 'from a stranger' })));

  const script = `
    import { Secret } from './broker/domain/secret.ts';
    import { createVaultClient } from './broker/vault/client.ts';
    const call = { method: 'POST', path: 'auth/approle/login', body: { secret_id: '${canary}' }, deadlineMs: 20000 };
    const vault = createVaultClient({ address: '${vault.address}' });
    console.log((await vault.send(call)).data);
    const stranger = createVaultClient({ address: '${untrusted}' });
    console.log(await stranger.send(call).catch((error) => error.kind));
    vault.close(); stranger.close();
  `;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: new URL('../..', import.meta.url),
    env: {
      HTTP_PROXY: proxy.address,
      http_proxy: proxy.address,
      HTTPS_PROXY: proxy.address,
      https_proxy: proxy.address,
      NODE_USE_ENV_PROXY: '1',
      VAULT_ADDR: proxy.address,
      VAULT_TOKEN: canary,
      VAULT_NAMESPACE: 'ambient',
      VAULT_PREFIX: '/ambient',
      VAULT_SKIP_VERIFY: '1',
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      DEBUG: '*',
    },
  });
  assert.equal(stdout, 'from vault\nunreachable\n');
  assert.doesNotMatch(stderr, /CANARY|secret_id|approle/);
  assert.equal(proxy.requests.length, 0);
  const [request] = vault.requests;
  assert.equal(request?.url, '/v1/auth/approle/login');
  assert.equal(request?.headers['x-vault-token'], undefined);
  assert.equal(request?.headers['x-vault-namespace'], undefined);
});
