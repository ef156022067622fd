/** Google's own Node library, unmodified and in a process of its own, against the sidecar's metadata port. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { isReady, useSidecar } from '../support/sidecar.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { runWorker, useRequestLog, workerEnvironment } from './worker.ts';

const TOKEN_PATH = '/computeMetadata/v1/instance/service-accounts/default/token';
const worker = join(import.meta.dirname, 'google-auth-library.ts');

async function useWorker(t: TestContext) {
  const vault = await useSetUpVault(t);
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address, settings: { SIDECAR_GCE_CHANNELS: 'ch_1=0' } });
  await isReady(sidecar);
  const url = sidecar.gceUrls.get('ch_1') ?? '';
  const requests = useRequestLog(t, url);
  const run = (scopes: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
    runWorker<{ token?: string; error?: string }>(process.execPath, [worker, ...scopes], {
      ...workerEnvironment(url),
      ...env,
    });
  return { broker, requests, run };
}

test('gets the token of its channel in one request', async (t) => {
  const { broker, requests, run } = await useWorker(t);
  const released = tokenFor(3_600);
  broker.answer(() => released);
  assert.deepEqual(await run(), { token: released.accessToken.reveal() });
  assert.deepEqual(requests, [TOKEN_PATH]);
  assert.equal(broker.calls[0]?.channel, 'ch_1');
});

test('gets it with scopes, which the broker hears of', async (t) => {
  const { broker, requests, run } = await useWorker(t);
  assert.match((await run(['upload', 'readonly'])).token ?? '', /^ya29/);
  assert.deepEqual(requests, [`${TOKEN_PATH}?scopes=upload%2Creadonly`]);
  assert.deepEqual(broker.calls[0]?.scopes, ['upload', 'readonly']);
});

test('finds the sidecar by itself where it is told the host alone', async (t) => {
  const { requests, run } = await useWorker(t);
  const env = { METADATA_SERVER_DETECTION: undefined, GOOGLE_CLOUD_PROJECT: undefined, PATH: '/nonexistent' };
  assert.match((await run([], env)).token ?? '', /^ya29/);
  assert.deepEqual(requests, ['/computeMetadata/v1/instance', '/computeMetadata/v1/project/project-id', TOKEN_PATH]);
});

test('reads the sentence after one request where nothing helps but somebody acting', async (t) => {
  const { broker, requests, run } = await useWorker(t);
  broker.answer(() => {
    throw new BrokerError('RECONSENT_REQUIRED');
  });
  const { error } = await run();
  assert.match(
    error ?? '',
    /RECONSENT_REQUIRED: The channel owner's consent has ended\. Send the owner a new consent link/,
  );
  assert.deepEqual(requests, [TOKEN_PATH]);
  assert.equal(broker.calls.length, 1);
});

test('tries four times and reads the sentence where it passes, and gets the token when it has passed', async (t) => {
  const { broker, requests, run } = await useWorker(t);
  broker.answer(() => {
    throw new BrokerError('VAULT_SEALED');
  });
  const { error } = await run();
  assert.match(error ?? '', /VAULT_SEALED: The key store is sealed\./);
  assert.equal(requests.length, 4);
  assert.ok(broker.calls.length < 4);
  // The failure is still remembered for a moment: the library's own patience is enough.
  broker.answer(() => tokenFor(3_600));
  assert.match((await run()).token ?? '', /^ya29/);
});
