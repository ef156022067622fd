/** Google's own Python library, unmodified and in a process of its own, against the sidecar's metadata port. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { executableOf, pythonEnvironment, requires } from '../support/requires.ts';
import { isReady, useSidecar } from '../support/sidecar.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { runWorker, useRequestLog, workerEnvironment } from './worker.ts';

const ROOT = '/computeMetadata/v1';
const ACCOUNTS = `${ROOT}/instance/service-accounts`;
const EMAIL = 'ch_1@media.example';
const worker = join(import.meta.dirname, 'google_auth.py');

interface Result {
  readonly tokens?: readonly string[];
  readonly authorization?: string;
  readonly email?: string;
  readonly error?: string;
}

async function useWorker(t: TestContext) {
  const vault = await useSetUpVault(t);
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address, settings: { SIDECAR_GCE_CHANNELS: 'ch_1=0' } });
  await isReady(sidecar);
  const url = sidecar.gceUrls.get('ch_1') ?? '';
  const requests = useRequestLog(t, url);
  const run = (times: number, ...scopes: readonly string[]) =>
    runWorker<Result>(executableOf('python-google-auth'), [worker, String(times), ...scopes], {
      ...workerEnvironment(url),
      ...pythonEnvironment,
    });
  return { broker, requests, run };
}

test(
  'gets the token of its channel, with the calls that it always makes',
  requires('python-google-auth'),
  async (t) => {
    const { broker, requests, run } = await useWorker(t);
    const released = tokenFor(3_600);
    broker.answer(() => released);
    const token = released.accessToken.reveal();
    const result = await run(2, 'upload');
    assert.deepEqual(result, { tokens: [token, token], authorization: `Bearer ${token}`, email: EMAIL });
    assert.deepEqual(requests, [
      '/',
      `${ROOT}/project/project-id`,
      `${ACCOUNTS}/default/?recursive=true`,
      `${ACCOUNTS}/default/token?scopes=upload`,
      `${ROOT}/universe/universe-domain`,
      `${ACCOUNTS}/${EMAIL}/?recursive=true`,
      `${ACCOUNTS}/default/token?scopes=upload`,
    ]);
    assert.equal(broker.calls.length, 1);
  },
);

test('takes the scopes of the channel where it names none', requires('python-google-auth'), async (t) => {
  const { requests, run } = await useWorker(t);
  assert.match((await run(1)).tokens?.[0] ?? '', /^ya29/);
  assert.ok(requests.includes(`${ACCOUNTS}/default/token?scopes=upload%2Creadonly`));
});

test(
  'reads the sentence after one try where nothing helps but somebody acting',
  requires('python-google-auth'),
  async (t) => {
    const { broker, requests, run } = await useWorker(t);
    broker.answer(() => {
      throw new BrokerError('RECONSENT_REQUIRED');
    });
    const { error } = await run(1, 'upload');
    assert.match(error ?? '', /RECONSENT_REQUIRED: The channel owner\\?'s consent has ended/);
    assert.equal(requests.filter((path) => path.startsWith(ACCOUNTS)).length, 1);
    assert.equal(broker.calls.length, 1);
  },
);

test(
  'tries five times where it passes, without five calls to the broker',
  requires('python-google-auth'),
  async (t) => {
    const { broker, requests, run } = await useWorker(t);
    broker.answer(() => {
      throw new BrokerError('VAULT_SEALED', { retryAfter: 30 });
    });
    const { error } = await run(1, 'upload');
    assert.match(error ?? '', /VAULT_SEALED: The key store is sealed/);
    assert.equal(requests.filter((path) => path.startsWith(ACCOUNTS)).length, 5);
    assert.equal(broker.calls.length, 1);
  },
);
