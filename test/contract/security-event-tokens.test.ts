/** Google's keys for security events: found through its RISC configuration, remembered, asked for anew within bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSecurityEventTokens } from '../../broker/google/security-event-tokens.ts';
import { securityEventTypes } from '../fake-google/security-events.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';
import type { Scope } from '../support/scope.ts';

const project = 'practice-project';

async function useTokens(scope: Scope) {
  const { google, client } = await startPracticeWorld(scope);
  google.securityEvents.register(project, { url: google.url, events: Object.values(securityEventTypes) });
  const { sub } = google.grant({ clientId: client.clientId, account: owner.email, scope: usualScope });
  const tokens = createSecurityEventTokens({
    settings: {
      issuer: google.endpoints.issuer,
      configurationUrl: google.endpoints.riscConfiguration,
      deadlineMs: 2_000,
    },
    clock: { now: () => new Date(google.now()) },
  });
  let looks = 0;
  const check = (token: string) =>
    tokens.check(token, async () => {
      looks += 1;
      return [client.clientId];
    });
  const sign = (change = {}) => google.securityEvents.sign({ project, type: 'sessions-revoked', sub, ...change });
  const asked = () => ({
    configuration: google.counts.requests({ endpoint: 'risc-configuration' }),
    keys: google.counts.requests({ endpoint: 'jwks' }),
    ourClients: looks,
  });
  return { google, check, sign, asked };
}

test('configuration and keys are fetched once for many events', async (t) => {
  const { check, sign, asked } = await useTokens(t);
  for (let events = 0; events < 5; events += 1) assert.equal((await check(await sign())).ok, true);
  assert.deepEqual(asked(), { configuration: 1, keys: 1, ourClients: 5 });
});

test('a stranger who sends keys that nobody knows makes nobody fetch keys again and again', async (t) => {
  const { check, sign, asked } = await useTokens(t);
  await check(await sign());
  const [, body, signature] = (await sign()).split('.');
  for (let attempts = 0; attempts < 20; attempts += 1) {
    const head = Buffer.from(JSON.stringify({ alg: 'RS256', kid: `unknown-${attempts}`, typ: 'secevent+jwt' }));
    const answer = await check(`${head.toString('base64url')}.${body}.${signature}`);
    assert.deepEqual(answer.ok ? answer : answer.fault, 'invalid_key');
  }
  assert.ok(asked().keys <= 2, `${asked().keys} times`);
  assert.equal(asked().ourClients, 1, 'the database is asked only where the signature is good');
});

test('what is not Google’s at a glance costs no request at all', async (t) => {
  const { check, sign, asked } = await useTokens(t);
  const bad = [
    '',
    'a.b',
    'a.b.c',
    await sign({ claims: { iss: 'https://evil.example/' } }),
    await sign({ claims: { aud: undefined } }),
  ];
  for (const token of bad) assert.equal((await check(token)).ok, false);
  assert.deepEqual(asked(), { configuration: 0, keys: 0, ourClients: 0 });
});

test('keys that do not answer are trouble that passes, not a bad event', async (t) => {
  const { google, check, sign } = await useTokens(t);
  google.faults.add({ fault: { kind: 'status', status: 500 }, where: { endpoint: 'jwks' } });
  const token = await sign();
  await assert.rejects(check(token), { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
  assert.equal((await check(token)).ok, true);
});

test('a configuration that names another issuer is not believed', async (t) => {
  const { google } = await useTokens(t);
  const tokens = createSecurityEventTokens({
    settings: {
      issuer: 'https://accounts.example',
      configurationUrl: google.endpoints.riscConfiguration,
      deadlineMs: 2_000,
    },
    clock: { now: () => new Date(google.now()) },
  });
  const claims = { iss: 'https://accounts.example/' };
  const token = await google.securityEvents.sign({ project, type: 'verification', claims });
  await assert.rejects(
    tokens.check(token, async () => []),
    { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' },
  );
});
