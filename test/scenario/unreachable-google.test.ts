/** A token endpoint that cannot be reached, each way: the network's trouble, never the owner's, and over when it is over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBroker } from '../support/broker.ts';
import { startTlsGateway } from '../support/tls-gateway.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';

const hour = 3_600_000;
const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;

test('no answer, no trust, no name and no server leave a channel active, are told as Google’s, and pass', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  await useWorkload(t, world, { reads: [id] });
  // From here on each broker alone refreshes it.
  await world.broker.stop();
  const { vault, google, databaseUrl } = world;
  await using gateway = await startTlsGateway(() => google.url);
  const parts = { vault, google, databaseUrl, redisUrl: undefined, clock: { now: () => new Date(google.now()) } };
  const reaching = (tokenUrl: string, googleDeadlineMs?: number) =>
    useBroker(t, {
      ...parts,
      settings: { BROKER_GOOGLE_TOKEN_URL: tokenUrl },
      ...(googleDeadlineMs && { googleDeadlineMs }),
    });
  const nobody = new URL(google.endpoints.token);
  nobody.port = '1';

  const faults = [
    ['no answer in time', google.endpoints.token, 300],
    ['a certificate that nobody trusts', `${gateway.url}/token`],
    ['no TLS where there should be', google.endpoints.token.replace('http:', 'https:')],
    ['a name that leads nowhere', 'https://token-endpoint.invalid/token'],
    ['nobody at the address', nobody.href],
  ] as const;
  const stored = (await world.channel(id)).grant?.refreshTokenEncrypted;
  const slow = google.faults.add({ fault: { kind: 'hang' }, where: refreshes, times: 'always' });
  google.counts.reset();
  for (const [what, tokenUrl, deadlineMs] of faults) {
    const broker = await reaching(tokenUrl, deadlineMs);
    google.advance(2 * hour);
    await broker.refreshDue();
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.lastFailure], ['active', 'unavailable'], what);
    assert.equal(grant?.refreshTokenEncrypted, stored, what);
    const workload = await useWorkload(t, { ...world, broker });
    const told = { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' };
    await assert.rejects(workload.getAccessToken({ channelId: id }), told, what);
    await broker.stop();
  }
  assert.equal(google.counts.requests(refreshes), 2, 'the scheduler’s and the worker’s; the others never came so far');
  slow.clear();
  const well = await reaching(google.endpoints.token);
  google.advance(2 * hour);
  await well.refreshDue();
  const { grant } = await world.channel(id);
  assert.deepEqual([grant?.lastFailure, grant?.refreshFailures], [undefined, 0]);
});
