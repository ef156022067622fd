/** A channel is suspended and resumed: nothing is refreshed or served between, nothing is lost, and nothing is served unproven after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refreshes, useRevokeWorld } from '../support/revoke-world.ts';
import { isReady, readToken, until, useSidecar } from '../support/sidecar.ts';
import { useWorkload } from '../support/workload.ts';

const minute = 60_000;
const reason = 'OPS-77';

test('a suspended channel is neither served nor refreshed, and is proven as soon as it is resumed', async (t) => {
  const world = await useRevokeWorld(t);
  const channel = await world.connect('main', 'olga');
  await useWorkload(t, world, { name: 'uploads', reads: [channel] });
  const sidecar = await useSidecar(t, { vault: world.vault, broker: `127.0.0.1:${world.broker.grpcPort}` });
  await isReady(sidecar);
  const first = (await readToken(sidecar, channel)).body.access_token;
  assert.ok(first);
  const before = (await world.channel(channel)).grant;

  const suspended = await world.api<{ state: string; reason: string }>('POST', `/v1/channels/${channel}/suspend`, {
    reason,
  });
  assert.deepEqual([suspended.state, suspended.reason], ['suspended', 'suspended_by_admin']);
  await until(async () => (await readToken(sidecar, channel)).body.error?.code === 'CHANNEL_SUSPENDED');
  world.google.advance(180 * minute);
  await world.broker.refreshDue();
  assert.equal(world.google.counts.requests(refreshes), 0);
  const kept = (await world.channel(channel)).grant;
  assert.deepEqual(
    [kept?.refreshTokenEncrypted, kept?.generation, kept?.scopes],
    [before?.refreshTokenEncrypted, before?.generation, before?.scopes],
  );

  await world.api('POST', `/v1/channels/${channel}/resume`, { reason });
  // Nobody asks for it.
  await world.google.counts.arrival(refreshes);
  await until(async () => (await readToken(sidecar, channel)).status === 200);
  assert.notEqual((await readToken(sidecar, channel)).body.access_token, first);
  assert.equal(await world.standing(channel), 'active resumed_by_admin');
  const acts = (await world.store.audit.list({ channel, limit: 50 })).filter(({ action }) =>
    ['channel.suspend', 'channel.resume'].includes(action),
  );
  assert.deepEqual(
    acts.map(({ action, caller, facts }) => [action, caller, facts.state, facts.reason]),
    [
      ['channel.resume', world.admin.subject, 'active', reason],
      ['channel.suspend', world.admin.subject, 'suspended', reason],
    ],
  );
});

test('what was granted before is not served after a resumption without a proof, also where the owner took it back', async (t) => {
  const world = await useRevokeWorld(t);
  const channel = await world.connect('main', 'olga');
  const workload = await useWorkload(t, world, { reads: [channel] });
  await workload.getAccessToken({ channelId: channel });
  await world.api('POST', `/v1/channels/${channel}/suspend`, { reason });
  world.google.revokeByOwner({ account: 'olga@example.com', project: 'practice-project' });
  await world.api('POST', `/v1/channels/${channel}/resume`, { reason });
  // Its token would not be due for half an hour, and nobody asks for it.
  await until(async () => (await world.standing(channel)) === 'needs_reconsent grant_revoked_or_expired');
  await assert.rejects(workload.getAccessToken({ channelId: channel }), { code: 'RECONSENT_REQUIRED' });
});

test('other states are refused with what they are, and so is an owner’s consent until the channel is resumed', async (t) => {
  const world = await useRevokeWorld(t);
  const { id, consentLink } = await world.addChannel('main');
  const act = async (what: string) => {
    const { status, code, body } = await world.call<{ error?: { problems: readonly string[] } }>(
      world.admin,
      'POST',
      `${id}/${what}`,
      { reason },
    );
    return [status, code, ...(body.error?.problems ?? [])];
  };
  const unfit = (is: string, wanted: string) => [
    409,
    'CHANNEL_STATE_UNFIT',
    `the channel is ${is}; this is done to one that is ${wanted}`,
  ];
  assert.deepEqual(await act('suspend'), unfit('pending_consent', 'active'));
  assert.deepEqual(await act('resume'), unfit('pending_consent', 'suspended'));
  await world.consent(consentLink);
  assert.deepEqual(await act('resume'), unfit('active', 'suspended'));
  assert.deepEqual(await act('suspend'), [200, 'ok']);
  assert.deepEqual(await act('suspend'), unfit('suspended', 'active'));
  assert.equal((await world.call(world.admin, 'POST', `${id}/consent-links`)).code, 'CHANNEL_SUSPENDED');
  assert.deepEqual(await act('resume'), [200, 'ok']);
  await world.revoke(id);
  assert.deepEqual(await act('suspend'), unfit('revoked', 'active'));
  assert.deepEqual(await act('resume'), unfit('revoked', 'suspended'));
  const eve = await world.stranger('eve');
  assert.equal((await world.call(eve, 'POST', `${id}/suspend`, { reason })).code, 'CHANNEL_NOT_FOUND');
});

test('a refresh that is under way when the channel is suspended caches nothing, and the token that it brings is kept', async (t) => {
  const world = await useRevokeWorld(t, { client: { rotateRefreshTokens: true } });
  const channel = await world.connect('main', 'olga');
  const workload = await useWorkload(t, world, { reads: [channel] });
  const before = (await world.channel(channel)).grant?.refreshTokenHash;
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: refreshes, when: 'after' });
  // Nothing is left of the token: who reads waits for the refresh.
  world.google.advance(61 * minute);
  const reading = workload.getAccessToken({ channelId: channel }).then(
    () => 'a token',
    (error: { code?: string }) => error.code,
  );
  await world.google.counts.arrival(refreshes);
  await world.api('POST', `/v1/channels/${channel}/suspend`, { reason });
  held.clear();
  assert.equal(await reading, 'CHANNEL_SUSPENDED');
  await until(async () => {
    await world.broker.refreshDue();
    return (await world.channel(channel)).grant?.refreshTokenHash !== before;
  });
  assert.equal(await world.standing(channel), 'suspended suspended_by_admin');
  await world.api('POST', `/v1/channels/${channel}/resume`, { reason });
  assert.ok((await workload.getAccessToken({ channelId: channel })).accessToken);
});

test('what an owner’s consent has brought waits while the channel is suspended, and is finished when it is resumed', async (t) => {
  const world = await useRevokeWorld(t);
  const channel = await world.connect('main', 'olga');
  world.google.faults.add({ fault: { kind: 'status', status: 503 }, where: { endpoint: 'channels' }, times: 'always' });
  await world.reconsent(channel, 'olga');
  await world.api('POST', `/v1/channels/${channel}/suspend`, { reason });
  world.google.faults.clear();
  world.google.advance(10 * minute);
  await world.broker.refreshDue();
  assert.equal(world.google.counts.requests(refreshes), 0);
  assert.equal(await world.standing(channel), 'suspended suspended_by_admin');
  await world.api('POST', `/v1/channels/${channel}/resume`, { reason });
  await until(async () => {
    await world.broker.refreshDue();
    return (await world.channel(channel)).grant?.generation === 2;
  });
  assert.equal(await world.standing(channel), 'active consented');
});
