/** Who refreshes which channel, and when: in use or not, of which region, at which replica, while who waits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { useBroker } from '../support/broker.ts';
import { until } from '../support/poll.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { useConnection, useMigratedDatabase } from '../support/store.ts';
import { useSubscription } from '../support/subscription.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;

async function dueIn(world: World, channel: string): Promise<number> {
  const due = (await world.channel(channel)).grant?.refreshDueAt;
  assert.ok(due, 'the channel has no due time');
  return due.getTime() - world.google.now();
}

test('a channel that nobody uses is refreshed once a day, and when it is asked for; then ahead of time again', async (t) => {
  const world = await useWorld(t);
  const channel = await world.connectedChannel();
  assert.ok((await dueIn(world, channel)) < hour, 'its owner has just consented');
  world.google.advance(8 * day);
  await world.broker.refreshDue();
  assert.ok((await dueIn(world, channel)) >= hour, 'nobody has used it for a week');
  assert.ok((await dueIn(world, channel)) <= day + hour);

  world.google.counts.reset();
  for (let hours = 0; hours < 72; hours += 1) {
    world.google.advance(hour);
    await world.broker.refreshDue();
  }
  const proofs = world.google.counts.requests(refreshes);
  assert.ok(proofs >= 2 && proofs <= 4, `${proofs} refreshes in three days`);

  world.google.advance((await dueIn(world, channel)) / 2);
  world.google.counts.reset();
  const workload = await useWorkload(t, world, { reads: [channel] });
  await workload.getAccessToken({ channelId: channel });
  assert.equal(world.google.counts.requests(refreshes), 1, 'one call');
  assert.ok((await dueIn(world, channel)) < hour, 'it is in use again');
});

test('whoever waits for a refresh hears before its own deadline, and the refresh goes on', async (t) => {
  const world = await useWorld(t);
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  world.google.advance(2 * hour);
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: refreshes });
  world.google.counts.reset();
  const patient = workload.getAccessToken({ channelId: channel });
  await world.google.counts.arrival(refreshes);
  await assert.rejects(workload.getAccessToken({ channelId: channel }, 4_000), { code: 'REFRESH_IN_PROGRESS' });
  held.clear();
  assert.ok((await patient).accessToken);
  assert.equal(world.google.counts.requests(refreshes), 1);
});

test('a reader at one replica waits for the refresh of another, and Google is asked once', async (t) => {
  const [vault, databaseUrl] = await Promise.all([useSetUpVault(t), useMigratedDatabase(t)]);
  const redisUrl = (await useRedis(t)).url;
  const world = await useWorld(t, { vault, databaseUrl, redisUrl });
  const clock = { now: () => new Date(world.google.now()) };
  const second = await useBroker(t, { vault, databaseUrl, redisUrl, google: world.google, clock });
  const channel = await world.connectedChannel();
  const here = await useWorkload(t, world, { reads: [channel] });
  const there = await useWorkload(t, { ...world, broker: second }, { name: 'elsewhere', reads: [] });
  await world.api('POST', `/v1/channels/${channel}/workloads`, { spiffe_id: there.spiffeId, reason: 'uploads' });
  world.google.advance(2 * hour);
  world.google.faults.add({ fault: { kind: 'latency', ms: 1_500 }, where: refreshes, times: 1 });
  world.google.counts.reset();
  const first = here.getAccessToken({ channelId: channel });
  await world.google.counts.arrival(refreshes);
  const [one, other] = await Promise.all([first, there.getAccessToken({ channelId: channel })]);
  assert.equal(one.accessToken, other.accessToken);
  assert.equal(world.google.counts.requests(refreshes), 1);
});

test('a region is refreshed by the replicas that it was given to, and by others when none of these is left', async (t) => {
  const [vault, databaseUrl] = await Promise.all([useSetUpVault(t), useMigratedDatabase(t)]);
  // So long that no replica seems silent because the machine is busy.
  const settings = { BROKER_REGION_TAKEOVER: '12s' };
  const world = await useWorld(t, { vault, databaseUrl, settings: { ...settings, BROKER_REGIONS: 'eu' } });
  const clock = { now: () => new Date(world.google.now()) };
  const american = await useBroker(t, {
    vault,
    databaseUrl,
    redisUrl: undefined,
    google: world.google,
    clock,
    settings: { ...settings, BROKER_REGIONS: 'us' },
  });
  const { id, consentLink } = await world.addChannel('far', { region: 'us' });
  await world.consent(consentLink);
  const refreshedAt = async () => (await world.channel(id)).grant?.lastRefreshAt?.getTime();
  const first = await refreshedAt();
  world.google.advance(hour);
  assert.equal(await world.broker.refreshDue(), 0, 'it is not its region');
  await american.refreshDue();
  const second = await refreshedAt();
  assert.ok(first && second && second > first);

  await american.stop();
  const byHand = useConnection(t, superuserUrl(databaseUrl));
  await byHand.run((db) =>
    sql`update broker_replicas set started_at = started_at - interval '12 s', seen_at = seen_at - interval '12 s'`.execute(
      db,
    ),
  );
  world.google.advance(hour);
  await until('the other replica has taken over', async () => {
    await world.broker.refreshDue();
    return (await refreshedAt()) !== second;
  });
});

test('a read and a watch are noted as use, at the latest when the broker stops', async (t) => {
  const world = await useWorld(t);
  const [read, watched, neither] = [
    await world.connectedChannel('read'),
    await world.connectedChannel('watched'),
    await world.connectedChannel('neither'),
  ];
  const workload = await useWorkload(t, world, { reads: [read, watched] });
  world.google.advance(5 * day);
  await world.broker.refreshDue();
  const from = world.google.now();
  await workload.getAccessToken({ channelId: read });
  const watching = useSubscription(t, workload.subscribe, [watched, neither]);
  await watching.stands(watched, 'AVAILABLE 1');
  await world.broker.stop();
  const usedAt = async (id: string) => {
    const now = new Date(world.google.now());
    const claim = await world.store.channels.claim(id, { now, until: new Date(now.getTime() + 1_000), owner: 'test' });
    return claim?.lastUsedAt?.getTime() ?? 0;
  };
  assert.ok((await usedAt(read)) >= from);
  assert.ok((await usedAt(watched)) >= from);
  assert.ok((await usedAt(neither)) < from, 'a workload without access uses nothing');
});
