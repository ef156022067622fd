/** What the sidecar makes of a broker that answers, refuses, fails, or is somebody else: over real mTLS. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { createServer } from 'node:tls';
import { BrokerError, type ErrorCode } from '../../broker/errors.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { brokerSpiffeId } from '../../vault-policies/layout.ts';
import { atEnd } from '../support/scope.ts';
import { isReady, readToken, until, useSidecar } from '../support/sidecar.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });

test('gives a token that the broker released to the one SPIFFE ID of this workload', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  const released = tokenFor(3_600, ['upload']);
  broker.answer(() => released);

  const { status, headers, body } = await readToken(sidecar, 'ch_1', '?min_ttl=900&scope=upload');
  assert.equal(status, 200);
  assert.equal(headers.get('cache-control'), 'no-store');
  const { expires_in = 0, ...rest } = body;
  assert.deepEqual(rest, {
    access_token: released.accessToken.reveal(),
    token_type: 'Bearer',
    expires_at: released.expiresAt.toISOString(),
    scopes: ['upload'],
    channel_id: 'ch_1',
    youtube_channel_id: 'UC_test',
  });
  assert.ok(expires_in > 3_500 && expires_in <= 3_600);
  const [call] = broker.calls;
  assert.equal(call?.spiffeId, 'spiffe://media.example/workload/uploads');
  assert.deepEqual([call?.channel, call?.minTtlSeconds, call?.scopes], ['ch_1', 900, ['upload']]);
  assert.ok(!JSON.stringify(sidecar.log).includes(released.accessToken.reveal()));
});

test('serves what it holds while the broker is away, says so, and finds the broker again', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  const held = await readToken(sidecar, 'ch_1');
  broker.answer(() => tokenFor(5));
  assert.equal((await readToken(sidecar, 'ch_short')).status, 200);
  await broker.stop();

  const stillHeld = await readToken(sidecar, 'ch_1');
  assert.equal(stillHeld.body.access_token, held.body.access_token);
  // The refresh of the short one fails in the background; it is served to its end, and not past it.
  await until(async () => (await readToken(sidecar, 'ch_short')).body.stale === 'BROKER_UNREACHABLE');
  await until(async () => (await readToken(sidecar, 'ch_short')).status === 503);
  const refused = await readToken(sidecar, 'ch_new');
  assert.deepEqual([refused.status, refused.body.error?.code], [503, 'BROKER_UNREACHABLE']);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 503);

  await broker.start();
  await isReady(sidecar);
  await until(async () => (await readToken(sidecar, 'ch_new')).status === 200);
});

test('gives up on a broker that does not answer before its own clients would', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  let answer = (_: ReturnType<typeof tokenFor>) => {};
  broker.answer(() => new Promise((resolve) => (answer = resolve)));
  const { status, body } = await readToken(sidecar, 'ch_1');
  assert.deepEqual([status, body.error?.code], [503, 'BROKER_UNREACHABLE']);
  answer(tokenFor(3_600));
});

test('is ready without the broker while it holds a token of each of its own channels', async (t) => {
  const broker = await useTokenServer(t, vault);
  const settings = { SIDECAR_GCE_CHANNELS: 'ch_a=0,ch_b=0' };
  const sidecar = await useSidecar(t, { vault, broker: broker.address, settings });
  await isReady(sidecar);
  for (const channel of sidecar.gceUrls.keys()) await readToken(sidecar, channel);
  await broker.stop();
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 200);
});

test('talks to nobody who cannot prove the identity of the broker', async (t) => {
  const broker = await useTokenServer(t, vault);
  const settings = { SIDECAR_BROKER_SPIFFE_ID: 'spiffe://media.example/other-broker' };
  const sidecar = await useSidecar(t, { vault, broker: broker.address, settings });
  await until(() => sidecar.log.some(({ message }) => message === 'new certificate'));
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'BROKER_NOT_TRUSTED');
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 503);
  assert.deepEqual(broker.calls, []);
});

test('talks to nobody whose certificate another authority has signed', async (t) => {
  const strangeVault = await useSetUpVault(t);
  const impostor = await useTokenServer(t, strangeVault);
  const sidecar = await useSidecar(t, { vault, broker: impostor.address });
  await until(() => sidecar.log.some(({ message }) => message === 'new certificate'));
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'BROKER_UNREACHABLE');
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 503);
  assert.deepEqual(impostor.calls, []);
});

test('talks to nobody who knows no TLS 1.3', async (t) => {
  const { trustDomain, mounts } = vault.layout;
  const { privateKeyPem, csrPem } = await createKeyAndCsr();
  const authority = createCertificateAuthority({ vault: vault.operator, pki: mounts.pki });
  const uriSan = brokerSpiffeId(trustDomain);
  const { certificatePem } = await authority.signCertificate({ role: 'broker', csrPem, uriSan });
  const old = createServer({ key: privateKeyPem, cert: certificatePem, maxVersion: 'TLSv1.2', ALPNProtocols: ['h2'] });
  const refusal = once(old, 'tlsClientError');
  old.listen(0, '127.0.0.1');
  await once(old, 'listening');
  atEnd(t, () => new Promise((resolve) => old.close(resolve)));
  const { port } = old.address() as AddressInfo;
  const sidecar = await useSidecar(t, { vault, broker: `127.0.0.1:${port}` });
  const [error] = (await refusal) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ERR_SSL_UNSUPPORTED_PROTOCOL');
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'BROKER_UNREACHABLE');
});

test('goes to the broker directly, whatever proxy the environment names', async (t) => {
  for (const name of ['grpc_proxy', 'https_proxy', 'http_proxy']) process.env[name] = 'http://127.0.0.1:1';
  atEnd(t, () => {
    for (const name of ['grpc_proxy', 'https_proxy', 'http_proxy']) delete process.env[name];
  });
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  assert.equal((await readToken(sidecar, 'ch_1')).status, 200);
});

const refusals: readonly [code: ErrorCode, status: number, retryAfter: number | undefined][] = [
  ['ACCESS_DENIED', 403, undefined],
  ['CHANNEL_NOT_FOUND', 403, undefined],
  ['CONSENT_PENDING', 403, undefined],
  ['RECONSENT_REQUIRED', 403, undefined],
  ['CHANNEL_SUSPENDED', 403, undefined],
  ['CHANNEL_BLOCKED', 403, undefined],
  ['CHANNEL_REVOKED', 403, undefined],
  ['SCOPE_NOT_GRANTED', 403, undefined],
  ['UNAUTHENTICATED', 403, undefined],
  ['AUTHORIZATION_SERVER_UNAVAILABLE', 503, undefined],
  ['OAUTH_CLIENT_REJECTED', 503, undefined],
  ['VAULT_SEALED', 503, undefined],
  ['STORE_UNAVAILABLE', 503, undefined],
  ['REFRESH_IN_PROGRESS', 503, 7],
  ['RATE_LIMITED', 503, 20],
  ['INTERNAL', 503, undefined],
];

test('keeps the broker’s code and sentence, as 403 where it is permanent and as 503 where it passes', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  for (const [code, status, retryAfter] of refusals)
    await t.test(`${code} is ${status}`, async () => {
      const error = new BrokerError(code, { detail: 'canary-detail', ...(retryAfter ? { retryAfter } : {}) });
      broker.answer(() => {
        throw error;
      });
      const answer = await readToken(sidecar, `ch_${code}`);
      assert.equal(answer.status, status);
      assert.deepEqual(answer.body, { error: { code, message: `${error.row.sentence} ${error.row.next}` } });
      assert.equal(answer.headers.get('retry-after'), status === 503 ? String(retryAfter ?? 2) : null);
    });
});
