/** The rate that replicas share: in Redis and in memory the same, step by step; without Redis bounded all the same. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createInProcessRateLimits,
  createRedisRateLimits,
  rateLimitsWithFallback,
} from '../../broker/cache/rate-limits.ts';
import { createRedis } from '../../broker/cache/redis.ts';
import type { BucketRules } from '../../broker/domain/token-bucket.ts';
import type { Clock, RateLimits } from '../../broker/ports.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd, type Scope } from '../support/scope.ts';

const rules: BucketRules = { ratePerSecond: 10, burst: 5, slowestPerSecond: 1 };
const silent = { info: () => undefined, warn: () => undefined };

function aClock() {
  let now = Date.parse('2026-03-01T12:00:00Z');
  const advance = (ms: number) => {
    now += ms;
  };
  return { now: () => new Date(now), advance };
}

async function useRedisLimits(scope: Scope, clock: Clock) {
  const server = await useRedis(scope);
  const open = (its: Clock = clock) => {
    const redis = createRedis({ url: server.url, random: Math.random, log: silent });
    atEnd(scope, async () => redis.close());
    return createRedisRateLimits({ redis, clock: its });
  };
  return { server, open };
}

const kinds = {
  'in Redis': async (scope: Scope, clock: Clock) => (await useRedisLimits(scope, clock)).open(),
  'in memory': async (_scope: Scope, clock: Clock) => createInProcessRateLimits({ clock }),
};

/** How many of so many are granted at once. */
async function burst(limits: RateLimits, asked: number, region = 'eu', its = rules): Promise<number> {
  let granted = 0;
  for (let turn = 0; turn < asked; turn += 1) {
    if ((await limits.take('uploads', region, its, 0)).granted) granted += 1;
  }
  return granted;
}

for (const [kind, open] of Object.entries(kinds)) {
  describe(`the rate ${kind}`, () => {
    test('lets a burst go at once, then one by one at the rate', async (t) => {
      const clock = aClock();
      const limits = await open(t, clock);
      assert.equal(await burst(limits, 9), 5);
      assert.deepEqual(await limits.take('uploads', 'eu', rules, 0), { granted: false, waitMs: 100 });
      clock.advance(300);
      assert.equal(await burst(limits, 9), 3);
      clock.advance(60_000);
      assert.equal(await burst(limits, 9), 5, 'a pause saves up no more than a burst');
    });

    test('gives those who wait one instant each, in their order', async (t) => {
      const limits = await open(t, aClock());
      await burst(limits, 5);
      const waits = [];
      for (let turn = 0; turn < 4; turn += 1) waits.push(await limits.take('uploads', 'eu', rules, 300));
      assert.deepEqual(
        waits.map(({ waitMs }) => waitMs),
        [100, 200, 300, 400],
      );
      assert.deepEqual(
        waits.map(({ granted }) => granted),
        [true, true, true, false],
      );
    });

    test('keeps regions and OAuth clients apart', async (t) => {
      const limits = await open(t, aClock());
      assert.equal(await burst(limits, 9), 5);
      assert.equal(await burst(limits, 9, 'us'), 5);
      assert.ok((await limits.take('other', 'eu', rules, 0)).granted);
    });

    test('halves the rate once for what was under way together, and lets it rise slowly', async (t) => {
      const clock = aClock();
      const limits = await open(t, clock);
      for (let answer = 0; answer < 8; answer += 1) await limits.slowDown('uploads', 'eu', rules, 0);
      assert.equal(await burst(limits, 9), 0, 'nothing is left of the burst');
      clock.advance(1_000);
      assert.equal(await burst(limits, 9), 5);
      assert.equal((await limits.take('uploads', 'eu', rules, 0)).waitMs, 200, 'half of ten a second');
      await limits.slowDown('uploads', 'eu', rules, 0);
      clock.advance(400);
      assert.equal(await burst(limits, 9), 1, 'a quarter');
      clock.advance(10 * 60_000);
      await burst(limits, 9);
      const { waitMs } = await limits.take('uploads', 'eu', rules, 0);
      assert.ok(waitMs > 125 && waitMs < 137, `after ten minutes a half more than the quarter: ${waitMs}`);
      clock.advance(20 * 60_000);
      await burst(limits, 9);
      assert.equal((await limits.take('uploads', 'eu', rules, 0)).waitMs, 100);
    });

    test('never falls below the slowest rate', async (t) => {
      const clock = aClock();
      const limits = await open(t, clock);
      for (let answer = 0; answer < 20; answer += 1) {
        await limits.slowDown('uploads', 'eu', rules, 0);
        clock.advance(1_000);
      }
      await burst(limits, 9);
      const { waitMs } = await limits.take('uploads', 'eu', rules, 0);
      assert.ok(waitMs > 900 && waitMs <= 1_000, `${waitMs}`);
    });

    test('closes an OAuth client in all its regions for as long as it was told to, and then begins gently', async (t) => {
      const clock = aClock();
      const limits = await open(t, clock);
      await limits.slowDown('uploads', 'eu', rules, 60_000);
      assert.deepEqual(await limits.take('uploads', 'us', rules, 0), { granted: false, waitMs: 60_000 });
      assert.ok((await limits.take('other', 'eu', rules, 0)).granted);
      await limits.slowDown('uploads', 'us', rules, 1_000);
      clock.advance(59_999);
      assert.equal((await limits.take('uploads', 'eu', rules, 0)).granted, false, 'a shorter wish shortens nothing');
      clock.advance(1);
      assert.equal(await burst(limits, 9), 0, 'no burst at the end of the closure');
      clock.advance(1_000);
      assert.equal(await burst(limits, 9), 5);
    });

    test('goes on after a clock that was an hour ahead', async (t) => {
      const clock = aClock();
      const limits = await open(t, clock);
      clock.advance(3_600_000);
      await burst(limits, 9);
      clock.advance(-3_600_000);
      await limits.take('uploads', 'eu', rules, 0);
      clock.advance(500);
      assert.equal(await burst(limits, 9), 5);
    });
  });
}

test('in Redis and in memory every answer of a long random walk is the same', async (t) => {
  const clock = aClock();
  const { open } = await useRedisLimits(t, clock);
  const both = [open(), createInProcessRateLimits({ clock })] as const;
  let seed = 7;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let step = 0; step < 400; step += 1) {
    clock.advance(Math.floor(random() * 400));
    const region = random() < 0.5 ? 'eu' : 'us';
    if (random() < 0.05) {
      const closedMs = Math.floor(random() * 3_000);
      for (const limits of both) await limits.slowDown('uploads', region, rules, closedMs);
    }
    const patienceMs = Math.floor(random() * 500);
    const [shared, own] = await Promise.all(both.map((limits) => limits.take('uploads', region, rules, patienceMs)));
    assert.ok(shared && own);
    assert.equal(shared.granted, own.granted, `step ${step}`);
    // Redis keeps six decimals.
    assert.ok(Math.abs(shared.waitMs - own.waitMs) <= 1, `step ${step}: ${shared.waitMs} and ${own.waitMs}`);
  }
});

test('two brokers take from one bucket', async (t) => {
  const { open } = await useRedisLimits(t, aClock());
  const brokers = [open(), open()];
  const turns = await Promise.all(
    Array.from({ length: 20 }, (_, turn) => brokers[turn % 2]?.take('uploads', 'eu', rules, 0)),
  );
  assert.equal(turns.filter((turn) => turn?.granted).length, 5);
});

test('a broker whose clock is behind takes no more than the rate', async (t) => {
  const clock = aClock();
  const behind = aClock();
  behind.advance(-3_000);
  const { open } = await useRedisLimits(t, clock);
  const [ahead, late] = [open(), open(behind)];
  assert.equal(await burst(ahead, 9), 5);
  let granted = 0;
  for (let tick = 0; tick < 20; tick += 1) {
    clock.advance(100);
    behind.advance(100);
    granted += (await burst(ahead, 2)) + (await burst(late, 2));
  }
  assert.ok(granted >= 18 && granted <= 21, `${granted} in two seconds at ten a second`);
});

test('while Redis is away each broker keeps to its part, and what Google said before is not forgotten', async (t) => {
  const clock = aClock();
  const { server, open } = await useRedisLimits(t, clock);
  const broker = () => rateLimitsWithFallback(open(), createInProcessRateLimits({ clock }), 2);
  const [first, second] = [broker(), broker()];
  const wide: BucketRules = { ratePerSecond: 10, burst: 10, slowestPerSecond: 1 };
  assert.equal(await burst(first, 20, 'eu', wide), 10);
  await server.stop();
  const atOnce = (await burst(first, 20, 'eu', wide)) + (await burst(second, 20, 'eu', wide));
  assert.equal(atOnce, 10, 'together they let no more than one burst go');
  clock.advance(200);
  assert.equal((await burst(first, 20, 'eu', wide)) + (await burst(second, 20, 'eu', wide)), 2);

  await first.slowDown('uploads', 'eu', wide, 60_000);
  assert.equal((await first.take('uploads', 'us', wide, 0)).waitMs, 60_000);
  await server.start();
  while ((await second.take('uploads', 'asia', wide, 0)).granted === false) clock.advance(1);
});
