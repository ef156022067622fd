/** What a sidecar does with what the broker tells of its channels: over real mTLS. */
import assert from 'node:assert/strict';
import { Agent, get, type IncomingMessage } from 'node:http';
import { after, type TestContext, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { atEnd } from '../support/scope.ts';
import { isReady, readToken, type SidecarParts, until, useSidecar } from '../support/sidecar.ts';
import { type TokenServerOptions, tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });

/** A sidecar, ready, before a broker that is told what to say. */
async function useBoth(
  t: TestContext,
  { server, ...parts }: Pick<SidecarParts, 'settings'> & { readonly server?: TokenServerOptions } = {},
) {
  const broker = await useTokenServer(t, vault, server);
  const sidecar = await useSidecar(t, { vault, broker: broker.address, ...parts });
  await isReady(sidecar);
  const watched = () => [...broker.subscriptions].map(({ channels }) => [...channels].sort().join(' '));
  return { broker, sidecar, watched };
}

test('hears of the channels that it serves and holds, in one stream, whatever is read', async (t) => {
  const { broker, sidecar, watched } = await useBoth(t, { settings: { SIDECAR_GCE_CHANNELS: 'ch_gce=0' } });
  await until(() => watched().join() === 'ch_gce');
  await readToken(sidecar, 'ch_1');
  await readToken(sidecar, 'ch_2');
  await until(() => watched().join() === 'ch_1 ch_2 ch_gce');
  assert.deepEqual(new Set([...broker.subscriptions].map(({ spiffeId }) => spiffeId)).size, 1);
});

test('answers 403 on a connection that stays open as soon as the channel is withdrawn, and 200 when it is given back', async (t) => {
  const { broker, sidecar, watched } = await useBoth(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  atEnd(t, () => agent.destroy());
  const sockets = new Set<unknown>();
  const read = async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { 'X-Sidecar-Request': 'true' };
      const request = get(`${sidecar.url}/v1/channels/ch_1/token`, { agent, headers }, resolve);
      request.on('socket', (socket) => sockets.add(socket));
      request.on('error', reject);
    });
    const body = JSON.parse((await response.toArray()).join('')) as { error?: { code: string } };
    return [response.statusCode, body.error?.code];
  };
  assert.deepEqual(await read(), [200, undefined]);
  await until(() => watched().join() === 'ch_1');
  for (const refusal of ['CHANNEL_REVOKED', 'ACCESS_DENIED', 'RECONSENT_REQUIRED'] as const) {
    broker.stand('ch_1', { refusal });
    await until(async () => (await read())[1] === refusal);
    assert.deepEqual(await read(), [403, refusal]);
    broker.stand('ch_1', {});
    await until(async () => (await read())[0] === 200);
  }
  assert.equal(sockets.size, 1);
});

test('fetches a token of the new generation when the owner has consented anew', async (t) => {
  const { broker, sidecar, watched } = await useBoth(t);
  const first = await readToken(sidecar, 'ch_1');
  await until(() => watched().join() === 'ch_1');
  broker.answer(() => ({ ...tokenFor(3_600), generation: 2 }));
  broker.stand('ch_1', { generation: 2 });
  await until(async () => (await readToken(sidecar, 'ch_1')).body.access_token !== first.body.access_token);
});

test('subscribes again when the stream ends, and hears what it missed', async (t) => {
  const { broker, sidecar, watched } = await useBoth(t);
  await readToken(sidecar, 'ch_1');
  await until(() => watched().join() === 'ch_1');
  for (const error of [undefined, new BrokerError('STORE_UNAVAILABLE'), new BrokerError('INTERNAL')]) {
    for (const subscription of broker.subscriptions) subscription.end(error);
    broker.stand('ch_1', { refusal: 'CHANNEL_SUSPENDED' });
    await until(async () => (await readToken(sidecar, 'ch_1')).status === 403);
    broker.stand('ch_1', {});
    await until(async () => (await readToken(sidecar, 'ch_1')).status === 200);
  }
});

test('finds a broker that was stopped and started, also for the stream', async (t) => {
  const { broker, sidecar, watched } = await useBoth(t);
  await readToken(sidecar, 'ch_1');
  await until(() => watched().join() === 'ch_1');
  await broker.stop();
  assert.equal((await readToken(sidecar, 'ch_1')).status, 200, 'a valid token is served while the broker is away');
  broker.stand('ch_1', { refusal: 'CHANNEL_REVOKED' });
  await broker.start();
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'CHANNEL_REVOKED');
});

test('says in /readyz that it hears nothing, checks its tokens with the broker, and hears again', async (t) => {
  const settings = { SIDECAR_UNHEARD_AFTER: '1', SIDECAR_RECHECK_EVERY: '1' };
  const { broker, sidecar } = await useBoth(t, { settings });
  broker.refuseSubscriptions(new BrokerError('STORE_UNAVAILABLE'));
  await readToken(sidecar, 'ch_1');
  const readyz = async () => {
    const response = await fetch(`${sidecar.operationsUrl}/readyz`);
    const { degraded } = (await response.json()) as { degraded: { code: string }[] };
    return [response.status, degraded.map(({ code }) => code).join()];
  };
  await until(async () => (await readyz()).join() === '200,STORE_UNAVAILABLE');
  broker.answer(() => {
    throw new BrokerError('RECONSENT_REQUIRED');
  });
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'RECONSENT_REQUIRED');

  broker.answer(() => tokenFor(3_600));
  broker.refuseSubscriptions(undefined);
  await until(async () => (await readToken(sidecar, 'ch_1')).status === 200);
  await until(() => broker.subscriptions.size > 0);
  await until(async () => (await readyz()).join() === '200,');
});

test('says once that a broker is too old to tell of changes, and checks its tokens with it instead', async (t) => {
  const settings = { SIDECAR_UNHEARD_AFTER: '1', SIDECAR_RECHECK_EVERY: '1' };
  const { broker, sidecar } = await useBoth(t, { settings, server: { withoutSubscribe: true } });
  assert.equal((await readToken(sidecar, 'ch_1')).status, 200);
  const said = () => sidecar.log.filter(({ code }) => code === 'BROKER_TOO_OLD').length;
  await until(() => said() > 0);
  broker.answer(() => {
    throw new BrokerError('CHANNEL_REVOKED');
  });
  await until(async () => (await readToken(sidecar, 'ch_1')).body.error?.code === 'CHANNEL_REVOKED');
  assert.equal(said(), 1);
});
