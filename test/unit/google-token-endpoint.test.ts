/** An answer of the token endpoint that says more than a date can hold loses no token. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { requestToken } from '../../broker/google/token-endpoint.ts';
import { start } from '../support/store-fixtures.ts';

async function answered(t: TestContext, lives: object) {
  const body = JSON.stringify({ access_token: 'ya29.new', refresh_token: '1//new', token_type: 'Bearer', ...lives });
  const server = createServer((_request, response) => response.end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { outcome } = await requestToken({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    form: {},
    proof: undefined,
    dpopKeyVersion: undefined,
    deadlineMs: 10_000,
    now: () => start,
  });
  assert.ok(outcome.ok);
  return outcome.tokens;
}

test('a token that is said to live for ever is taken for one that lives a day, and one that never ends for that', async (t) => {
  const tokens = await answered(t, { expires_in: 1e15, refresh_token_expires_in: 9e15 });
  assert.equal(tokens.refreshToken?.reveal(), '1//new');
  assert.deepEqual(tokens.expiresAt, new Date('2026-03-02T12:00:00Z'));
  assert.equal(tokens.refreshTokenExpiresAt, undefined);
});

test('a life that is one is counted from the question', async (t) => {
  const tokens = await answered(t, { expires_in: 3_599, refresh_token_expires_in: 604_800 });
  assert.deepEqual(tokens.expiresAt, new Date('2026-03-01T12:59:59Z'));
  assert.deepEqual(tokens.refreshTokenExpiresAt, new Date('2026-03-08T12:00:00Z'));
});
