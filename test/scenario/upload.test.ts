/** The whole way: an owner consents, and a worker with Google's own library, unmodified, uploads to YouTube. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { runWorker, useRequestLog, workerEnvironment } from '../clients/worker.ts';
import { executableOf, pythonEnvironment, requires } from '../support/requires.ts';
import { isReady, useSidecar } from '../support/sidecar.ts';
import { owner, useWorld } from '../support/world.ts';

const nodeWorker = join(import.meta.dirname, '../../demo/worker.ts');
const pythonWorker = join(import.meta.dirname, '../clients/upload.py');

interface Result {
  readonly uploaded?: string;
  readonly error?: string;
}

/** A connected channel and a sidecar that serves it. */
async function useChannel(t: TestContext) {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const sidecar = await useSidecar(t, {
    vault: world.vault,
    broker: `127.0.0.1:${world.broker.grpcPort}`,
    settings: { SIDECAR_GCE_CHANNELS: `${id}=0` },
  });
  const spiffeId = `spiffe://${world.vault.layout.trustDomain}/workload/uploads`;
  await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: spiffeId, reason: 'uploads' });
  await isReady(sidecar);
  const url = sidecar.gceUrls.get(id) ?? '';
  const env = { ...workerEnvironment(url), YOUTUBE_API: world.google.url, UPLOAD: 'yes' };
  return { world, id, env, requests: useRequestLog(t, url) };
}

/** Asserts that one video arrived, for the owner's channel. */
function assertUploaded(world: Awaited<ReturnType<typeof useWorld>>, title: string): void {
  const [video, ...more] = world.google.uploads();
  assert.deepEqual(more, []);
  assert.equal(video?.title, title);
  assert.equal(video?.channelId, owner.channel.id);
}

test('a Node worker uploads with google-auth-library', async (t) => {
  const { world, id, env } = await useChannel(t);
  await promisify(execFile)(process.execPath, [nodeWorker], { env });
  assertUploaded(world, 'Hello from the token broker');
  const released = (await world.store.audit.list({ channel: id, limit: 50 })).filter(
    ({ action, result }) => action === 'token.release' && result === 'ok',
  );
  assert.equal(released.length, 1, 'one release is on record');
});

test('a Python worker uploads with google-auth', requires('python-google-auth'), async (t) => {
  const { world, env } = await useChannel(t);
  const result = await runWorker<Result>(executableOf('python-google-auth'), [pythonWorker, world.google.url], {
    ...env,
    ...pythonEnvironment,
  });
  assert.deepEqual(Object.keys(result), ['uploaded']);
  assertUploaded(world, 'Hello from Python');
});

test('a worker of a channel whose consent has ended reads why, once, and nothing is stormed', async (t) => {
  const { world, id, env, requests } = await useChannel(t);
  world.google.revokeByOwner({
    account: owner.account,
    project: world.google.updateClient('client-1.apps.example', {}).project,
  });
  world.google.advance(3_600_000);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).state, 'needs_reconsent');

  const failed = promisify(execFile)(process.execPath, [nodeWorker], { env });
  await assert.rejects(failed, /RECONSENT_REQUIRED: The channel owner's consent has ended\./);
  assert.equal(requests.filter((path) => path.includes('/token')).length, 1);
  assert.deepEqual(world.google.uploads(), []);
});
