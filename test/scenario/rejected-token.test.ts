/** A worker whose token YouTube refuses reports it to its sidecar: another one comes, once, and it is on record. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { isReady, type RunningSidecar, readToken, useSidecar } from '../support/sidecar.ts';
import { type TestWorkload, useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;
const sha256 = (token = '') => hash('sha256', token, 'hex');

describe('a token that YouTube refuses', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  let world: World;
  let channel: string;
  let workload: TestWorkload;
  let sidecar: RunningSidecar;

  before(async () => {
    world = await useWorld(scope, { settings: { BROKER_FORCED_REFRESHES: '2' } });
    channel = await world.connectedChannel('main');
    workload = await useWorkload(scope, world, { reads: [channel] });
    sidecar = await useSidecar(scope, {
      vault: world.vault,
      broker: `127.0.0.1:${world.broker.grpcPort}`,
      workload: 'uploader',
    });
    await isReady(sidecar);
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  async function report(token: string | undefined) {
    const response = await fetch(`${sidecar.url}/v1/channels/${channel}/rejected`, {
      method: 'POST',
      headers: { 'X-Sidecar-Request': 'true' },
      body: JSON.stringify({ token_sha256: sha256(token) }),
    });
    return { status: response.status, body: (await response.json()) as { outcome?: string; error?: { code: string } } };
  }

  test('is replaced by one refresh at Google, once, and the release says that it was reported', async () => {
    const { body: first } = await readToken(sidecar, channel);
    world.google.counts.reset();
    assert.deepEqual(await report(first.access_token), { status: 200, body: { outcome: 'replaced' } });
    const { body: second } = await readToken(sidecar, channel);
    assert.notEqual(second.access_token, first.access_token);
    assert.equal(world.google.counts.requests(refreshes), 1);
    const records = await world.store.audit.list({ channel, limit: 50 });
    const release = records.find(({ action }) => action === 'token.release');
    assert.deepEqual(
      [release?.facts.rejected, release?.facts.source, release?.facts.accessToken],
      [true, 'refresh', sha256(second.access_token).slice(0, 16)],
    );

    assert.deepEqual((await report(first.access_token)).body, { outcome: 'unknown' });
    const again = await report(second.access_token);
    assert.deepEqual([again.status, again.body.error?.code], [429, 'REPORTED_TOO_OFTEN']);
    assert.equal(world.google.counts.requests(refreshes), 1);
  });

  test('is refreshed by the broker only where it is the very one that it would give, and not more often than a workload may', async () => {
    world.google.counts.reset();
    const { accessToken } = await workload.getAccessToken({ channelId: channel });
    const other = { channelId: channel, rejectedTokenSha256: sha256('another token') };
    assert.equal((await workload.getAccessToken(other)).accessToken, accessToken);
    assert.equal(world.google.counts.requests(refreshes), 0);
    await assert.rejects(workload.getAccessToken({ channelId: channel, rejectedTokenSha256: 'x' }), {
      code: 'INVALID_REQUEST',
    });

    const asked = { channelId: channel, rejectedTokenSha256: sha256(accessToken) };
    const { accessToken: fresher } = await workload.getAccessToken(asked);
    assert.notEqual(fresher, accessToken);
    assert.equal((await workload.getAccessToken(asked)).accessToken, fresher, 'it is not the one that would be given');
    const reported = { channelId: channel, rejectedTokenSha256: sha256(fresher) };
    assert.equal((await workload.getAccessToken(reported)).accessToken, fresher, 'two in a minute were allowed');
    assert.equal(world.google.counts.requests(refreshes), 1);
  });
});
