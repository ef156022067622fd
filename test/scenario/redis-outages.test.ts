/** Redis empty, restarted, read-only, slow or gone: tokens are served all the same, and Google is not troubled for it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Redis as Client } from 'ioredis';
import type { Redis } from '../../stack/redis.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';

const hour = 3_600_000;

interface Outage {
  readonly begin: (redis: Redis, client: Client) => unknown;
  readonly end: (redis: Redis, client: Client) => unknown;
}

const outages: Readonly<Record<string, Outage>> = {
  empty: { begin: (_, client) => client.flushall(), end: () => {} },
  restarted: {
    begin: async (redis) => {
      await redis.stop();
      await redis.start();
    },
    end: () => {},
  },
  'read-only': {
    begin: (_, client) => client.config('SET', 'min-replicas-to-write', '1'),
    end: (_, client) => client.config('SET', 'min-replicas-to-write', '0'),
  },
  // It accepts connections and holds every answer back.
  slow: { begin: (redis) => redis.pause(), end: (redis) => redis.resume() },
  gone: { begin: (redis) => redis.stop(), end: (redis) => redis.start() },
};

async function useClient(t: TestContext, redis: Redis): Promise<Client> {
  const client = new Client(redis.url, { retryStrategy: () => 10, maxRetriesPerRequest: null });
  client.on('error', () => {});
  atEnd(t, () => client.disconnect());
  await client.ping();
  return client;
}

for (const [what, { begin, end }] of Object.entries(outages)) {
  test(`with Redis ${what}, a valid token is served without asking Google, and a new one when it ends`, async (t) => {
    const redis = await useRedis(t);
    const world = await useWorld(t, { redisUrl: redis.url });
    const channel = await world.connectedChannel();
    const workload = await useWorkload(t, world, { reads: [channel] });
    const client = await useClient(t, redis);
    const first = await workload.getAccessToken({ channelId: channel });

    await begin(redis, client);
    world.google.counts.reset();
    for (let reads = 0; reads < 5; reads += 1) {
      const { accessToken } = await workload.getAccessToken({ channelId: channel });
      assert.equal(accessToken, first.accessToken);
    }
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);

    world.google.advance(hour);
    const second = await workload.getAccessToken({ channelId: channel });
    assert.notEqual(second.accessToken, first.accessToken);
    assert.equal((await workload.getAccessToken({ channelId: channel })).accessToken, second.accessToken);
    assert.equal(world.google.counts.requests({ endpoint: 'token', grantType: 'refresh_token' }), 1);

    await end(redis, client);
    assert.equal((await workload.getAccessToken({ channelId: channel })).accessToken, second.accessToken);
  });
}
