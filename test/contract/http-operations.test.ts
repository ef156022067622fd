import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { type Check, createOperationsServer } from '../../broker/http/operations.ts';

/** `needed` are those without which nothing can be served. */
async function start(checks: Record<string, Check>, { needed = Object.keys(checks), deadlineMs = 1_000 } = {}) {
  const dependencies = Object.fromEntries(
    Object.entries(checks).map(([name, check]) => [name, { check, needed: needed.includes(name) }]),
  );
  const logged: string[] = [];
  const write = (fields: object, message: string): void => void logged.push(message + JSON.stringify(fields));
  const log = { info: write, warn: write, error: write };
  const metrics = async (): Promise<string> => '# TYPE up gauge\nup 1\n';
  const server = createOperationsServer({ dependencies, metrics, deadlineMs, log });
  const listening = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `http://127.0.0.1:${listening.port}`,
    logged,
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

const ok: Check = async () => undefined;

test('the broker is ready when every dependency answers', async () => {
  await using server = await start({ database: ok, vault: ok });
  const response = await fetch(`${server.url}/readyz`);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: 'ok', checks: { database: 'ok', vault: 'ok' } });
});

test('it is not ready when one does not, and says which and why, without the cause', async () => {
  const sealed: Check = async () => {
    throw new BrokerError('VAULT_SEALED', { detail: 'canary' });
  };
  const broken: Check = async () => {
    throw new Error('canary');
  };
  await using server = await start({ database: ok, vault: sealed, cache: broken });
  const response = await fetch(`${server.url}/readyz`);
  assert.equal(response.status, 503);
  assert.deepEqual(await response.json(), {
    status: 'unavailable',
    checks: { database: 'ok', vault: 'VAULT_SEALED', cache: 'NO_ANSWER' },
  });
  assert.equal(server.logged.length, 2);
});

test('it is degraded, and still serves, when only what it can do without is away', async () => {
  let away = true;
  const cache: Check = async () => {
    if (away) throw new BrokerError('STORE_UNAVAILABLE');
  };
  await using server = await start({ database: ok, cache }, { needed: ['database'] });
  for (let probes = 0; probes < 3; probes += 1) {
    const response = await fetch(`${server.url}/readyz`);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {
      status: 'degraded',
      checks: { database: 'ok', cache: 'STORE_UNAVAILABLE' },
    });
  }
  assert.equal(server.logged.length, 1, 'once is enough');
  away = false;
  assert.equal(((await (await fetch(`${server.url}/readyz`)).json()) as { status: string }).status, 'ok');
  assert.match(server.logged[1] ?? '', /dependency is back/);
});

test('a dependency that hangs does not make the answer hang', async () => {
  await using server = await start({ vault: () => new Promise<void>(() => undefined) }, { deadlineMs: 20 });
  const response = await fetch(`${server.url}/readyz`);
  assert.deepEqual(await response.json(), { status: 'unavailable', checks: { vault: 'NO_ANSWER' } });
});

test('it is alive also when nothing else is', async () => {
  await using server = await start({
    vault: async () => {
      throw new BrokerError('VAULT_UNAVAILABLE');
    },
  });
  const response = await fetch(`${server.url}/livez`);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: 'ok' });
});

test('metrics are in the Prometheus text format', async () => {
  await using server = await start({});
  const response = await fetch(`${server.url}/metrics`);
  assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(await response.text(), '# TYPE up gauge\nup 1\n');
});
