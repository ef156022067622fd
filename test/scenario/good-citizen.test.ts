/** One OAuth client's trouble stays its own: slow down where Google says so, and let nobody else wait for one that hangs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useBroker } from '../support/broker.ts';
import { addChannels, addClient } from '../support/many-channels.ts';
import { until } from '../support/poll.ts';
import { useRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld, type World, type WorldOptions } from '../support/world.ts';

const minute = 60_000;
const token = { endpoint: 'token', grantType: 'refresh_token' } as const;

async function useTwoClients(scope: Scope, options: WorldOptions = {}) {
  const world = await useWorld(scope, options);
  const [sick, well] = await Promise.all([addClient(world, 'sick'), addClient(world, 'well')]);
  const refreshed = async (ids: readonly string[]) => {
    const channels = await Promise.all(ids.map((id) => world.channel(id)));
    return channels.filter(({ grant }) => grant?.lastRefreshAt !== undefined).length;
  };
  const asked = (clientId: string) => world.google.counts.requests({ ...token, clientId });
  const add = (name: 'sick' | 'well', count: number, given: object = {}) =>
    addChannels(world, { name, oauthClient: name, clientId: `${name}.apps.example`, count, ...given });
  return { world, sick, well, refreshed, asked, add };
}

/** What the metric of refreshes that were put off says. */
async function putOff(world: World, because: string): Promise<number> {
  const text = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('token_broker_refreshes_put_off_total{'));
  const counts = lines
    .filter((line) => line.includes(`because="${because}"`))
    .map((line) => Number(line.split(' ').at(-1)));
  return counts.reduce((sum, count) => sum + count, 0);
}

test('four clients that hang at once hold not all slots: the others are refreshed while they hang, and then they are asked by one only', async (t) => {
  const world = await useWorld(t, { settings: { BROKER_REFRESH_CONCURRENCY: '16' } });
  const well = await addClient(world, 'well');
  const due = world.google.now() + 1_000;
  const names = ['sick-a', 'sick-b', 'sick-c', 'sick-d'];
  const hanging = await Promise.all(
    names.map(async (name) => {
      const clientId = await addClient(world, name);
      // The ones that hang are due first, and each could fill every slot.
      await addChannels(world, { name, oauthClient: name, clientId, count: 20, dueAt: new Date(due) });
      const where = { ...token, clientId };
      return { where, fault: world.google.faults.add({ fault: { kind: 'hang' }, where, times: 'always' }) };
    }),
  );
  const healthy = await addChannels(world, {
    ...{ name: 'well', oauthClient: 'well', clientId: well },
    ...{ count: 40, dueAt: new Date(due + 1) },
  });
  world.google.advance(2_000);
  const running = world.broker.refreshDue();
  await until(
    'the healthy ones are refreshed',
    async () => {
      const channels = await Promise.all(healthy.map((id) => world.channel(id)));
      return channels.every(({ grant }) => grant?.lastRefreshAt !== undefined);
    },
    40_000,
  );
  for (const { where } of hanging) {
    assert.equal(world.google.counts.requests(where), 2, 'an eighth of sixteen slots, and both still hang');
  }
  // What was hanging is cut off, and what takes its place fails, too: five failures in a row.
  for (const { fault, where } of hanging) {
    world.google.faults.add({ fault: { kind: 'status', status: 503 }, where, times: 'always' });
    fault.clear();
  }
  await running;
  const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  for (const name of names) assert.match(metrics, new RegExp(`breaker_open\\{oauth_client="${name}"\\} 1`));
});

test('a breaker that is open lets one probe after its time, and all when that succeeds', async (t) => {
  const { world, sick, refreshed, asked, add } = await useTwoClients(t, {
    settings: { BROKER_REFRESH_CONCURRENCY: '8' },
  });
  const fault = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { ...token, clientId: sick },
    times: 'always',
  });
  const ids = await add('sick', 40);
  world.google.advance(2_000);
  await world.broker.refreshDue();
  const first = asked(sick);
  assert.ok(first >= 5 && first <= 12, `${first} of 40 were asked before it opened`);
  assert.ok(
    (await world.channel(ids[39] ?? '')).grant?.refreshFailures === 0,
    'those that were passed over have not failed',
  );
  world.google.advance(6_000);
  await world.broker.refreshDue();
  assert.equal(asked(sick), first + 1, 'one probe, which failed');
  fault.clear();
  world.google.advance(11_000);
  await world.broker.refreshDue();
  world.google.advance(30_000);
  await world.broker.refreshDue();
  assert.equal(await refreshed(ids), 40);
});

test('Retry-After closes the whole client on every replica, and no other client', async (t) => {
  const redis = await useRedis(t);
  const { world, sick, refreshed, asked, add } = await useTwoClients(t, { redisUrl: redis.url });
  const parts = { vault: world.vault, google: world.google, databaseUrl: world.databaseUrl, redisUrl: redis.url };
  const second = await useBroker(t, { ...parts, clock: { now: () => new Date(world.google.now()) } });
  const rule = {
    fault: { kind: 'status', status: 429, retryAfter: 600 },
    where: { ...token, clientId: sick },
  } as const;
  world.google.faults.add(rule);
  const both = () => Promise.all([world.broker.refreshDue(), second.refreshDue()]);
  const [one = ''] = await add('sick', 1);
  world.google.advance(2_000);
  // Each looks by itself, too: whoever has begun it, it is over.
  await both();
  assert.equal((await world.channel(one)).grant?.lastFailure, 'rate_limited');
  const others = [
    ...(await addChannels(world, { name: 'more', oauthClient: 'sick', clientId: sick, count: 6, region: 'asia' })),
  ];
  const healthy = await add('well', 6);
  world.google.advance(2 * minute);
  await both();
  assert.equal(await refreshed(healthy), 6);
  assert.equal(asked(sick), 1, 'nobody asked, in any region');
  world.google.advance(8 * minute + 2_000);
  await both();
  await both();
  assert.equal(await refreshed([...others, one]), 7);
});

test('two brokers keep one rate together, and without Redis they are bounded still', async (t) => {
  const redis = await useRedis(t);
  const settings = { BROKER_OAUTH_CLIENT_RATE: '4' };
  const { world, sick, asked, add } = await useTwoClients(t, { redisUrl: redis.url, settings });
  const parts = {
    vault: world.vault,
    google: world.google,
    databaseUrl: world.databaseUrl,
    redisUrl: redis.url,
    settings,
  };
  const second = await useBroker(t, { ...parts, clock: { now: () => new Date(world.google.now()) } });
  const both = () => Promise.all([world.broker.refreshDue(), second.refreshDue()]);
  const rateKept = async () => {
    const at = () => world.google.counts.log({ ...token, clientId: sick }).map((request) => request.at);
    await both();
    // In no second more than a burst and what filled up meanwhile; what waited comes a little late.
    for (const [index, first] of at().entries()) {
      const within = at()
        .slice(index)
        .filter((instant) => instant < first + 1_000).length;
      assert.ok(within <= 10, `${within} within a second`);
    }
    return at().length;
  };
  await add('sick', 14);
  world.google.advance(2_000);
  assert.equal(await rateKept(), 14);
  assert.ok((await putOff(world, 'rate')) + asked(sick) >= 14);
  await redis.stop();
  await addChannels(world, { name: 'late', oauthClient: 'sick', clientId: sick, count: 10 });
  world.google.counts.reset();
  world.google.advance(4_000);
  assert.equal(await rateKept(), 10);
});

test('the human 403 page halves the rate and changes no channel', async (t) => {
  const { world, sick, add } = await useTwoClients(t);
  world.google.faults.add({ fault: { kind: 'html-403' }, where: { ...token, clientId: sick }, times: 3 });
  const ids = await add('sick', 3);
  world.google.advance(2_000);
  await world.broker.refreshDue();
  for (const id of ids) {
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.lastFailure], ['active', 'rate_limited']);
  }
});

test('a worker whose client may not be asked now hears RATE_LIMITED, and is served a token that is still valid', async (t) => {
  const { world, sick, add } = await useTwoClients(t);
  const dueAt = new Date(world.google.now() + 40 * minute);
  const [valid = '', none = '', neither = ''] = await add('sick', 3, { dueAt });
  const workload = await useWorkload(t, world, { reads: [valid, none, neither] });
  const { accessToken } = await workload.getAccessToken({ channelId: valid });
  world.google.faults.add({
    fault: { kind: 'status', status: 429, retryAfter: 1_800 },
    where: { ...token, clientId: sick },
  });
  await assert.rejects(workload.getAccessToken({ channelId: none }), { code: 'AUTHORIZATION_SERVER_UNAVAILABLE' });
  const asked = world.google.counts.requests(token);
  // Another channel of the client has no token, and it is not its turn for half an hour.
  await assert.rejects(workload.getAccessToken({ channelId: neither }), { code: 'RATE_LIMITED' });
  assert.equal(world.google.counts.requests(token), asked, 'Google was not asked again');
  assert.equal((await world.channel(neither)).grant?.refreshFailures, 0, 'which is no failure of the channel');
  world.google.advance(31 * minute - 90_000);
  const before = world.google.counts.requests(token);
  const still = await workload.getAccessToken({ channelId: valid, minTtlSeconds: 3_000 });
  assert.equal(still.accessToken, accessToken);
  assert.equal(world.google.counts.requests(token), before);
});

test('a worker that keeps asking for more life than a token needs gets so many refreshes in a minute, then the token as it is', async (t) => {
  const { world, add } = await useTwoClients(t, { settings: { BROKER_FORCED_REFRESHES: '1' } });
  const [one = '', other = ''] = await add('sick', 2, { dueAt: new Date(world.google.now() + 40 * minute) });
  const workload = await useWorkload(t, world, { reads: [one, other] });
  const first = await workload.getAccessToken({ channelId: one });
  const second = await workload.getAccessToken({ channelId: other });
  world.google.advance(33 * minute);
  world.google.counts.reset();
  const forced = await workload.getAccessToken({ channelId: one, minTtlSeconds: 3_500 });
  assert.notEqual(forced.accessToken, first.accessToken);
  const kept = await workload.getAccessToken({ channelId: other, minTtlSeconds: 3_500 });
  assert.equal(kept.accessToken, second.accessToken);
  assert.equal(world.google.counts.requests(token), 1);
  world.google.advance(minute);
  assert.notEqual(
    (await workload.getAccessToken({ channelId: other, minTtlSeconds: 3_500 })).accessToken,
    second.accessToken,
  );
});
