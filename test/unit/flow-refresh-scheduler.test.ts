/** What the scheduler does about clocks: it looks at its start, notices jumps while it sleeps, and plans anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRefreshScheduler } from '../../broker/flow/refresh-channels.ts';
import { createRefreshFlights } from '../../broker/flow/refresh-flights.ts';
import type { Store } from '../../broker/ports.ts';
import { until } from '../support/poll.ts';
import { atEnd, type Scope } from '../support/scope.ts';

const minute = 60_000;
const hour = 60 * minute;

/** A scheduler that runs on an empty queue, with a wall clock and one that counts, both moved by hand; its sleeps too. */
function useScheduler(scope: Scope, strays: number) {
  let wall = 1_700_000_000_000;
  let counted = 0;
  const replans: (readonly [at: number, aheadMs: number])[] = [];
  const jumps: (readonly [jumpMs: number, replanned: number])[] = [];
  let looks = 0;
  let wakeUp = () => {};
  const channels = {
    claimDue: async () => {
      looks += 1;
      return [];
    },
    nextDue: async () => undefined,
    replan: async (now: Date, { aheadMs }: { aheadMs: number }) => {
      replans.push([now.getTime(), aheadMs]);
      return strays;
    },
  } as unknown as Store['channels'];
  const clock = { now: () => new Date(wall) };
  const scheduler = createRefreshScheduler({
    store: { channels } as Store,
    runClaim: () => Promise.reject(new Error('nothing is due')),
    flights: createRefreshFlights(),
    admission: {
      excluded: () => ({ clients: [], lookAgainAt: undefined }),
      windows: () => ({ least: 1, of: new Map() }),
      run: (_client, _region, work) => work(),
    },
    clock,
    identityClock: clock,
    monotonicMs: () => counted,
    concurrency: 1,
    regions: () => undefined,
    replica: 'test',
    newRequestId: () => 'r',
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        wakeUp = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      }),
    storeSpooledTokens: async () => ({ waiting: 0, consents: new Set<string>() }),
    finishConsents: async () => 0,
    applyRetention: async () => ({ deleted: 0, more: false }),
    onBegun: () => {},
    onFault: (error) => {
      throw error;
    },
    onClockJump: (jumpMs, replanned) => void jumps.push([jumpMs, replanned]),
  });
  atEnd(scope, () => scheduler.stop());
  return {
    scheduler,
    replans,
    jumps,
    looks: () => looks,
    wall: () => wall,
    /** So much passes on the wall and by the count; then the stretch of sleep ends. */
    async pass(wallMs: number, countedMs = wallMs) {
      wall += wallMs;
      counted += countedMs;
      wakeUp();
      for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
    },
  };
}

test('looks at its start for what a wrong clock has left behind, and again when an hour has passed', async (t) => {
  const { scheduler, replans, jumps, looks, pass, wall } = useScheduler(t, 3);
  const began = wall();
  scheduler.start();
  await until('it sleeps', () => looks() === 1);
  assert.deepEqual(replans, [[began, 10 * minute]], 'only what is surely wrong: others have clocks, too');
  assert.deepEqual(jumps, [[0, 3]]);
  for (let passed = 0; passed < hour; passed += 5_000) await pass(5_000);
  assert.equal(replans.length, 2);
});

test('a clock that was set back has everything planned anew that it had planned, at once', async (t) => {
  const { scheduler, replans, jumps, looks, pass, wall } = useScheduler(t, 0);
  scheduler.start();
  await until('it sleeps', () => looks() === 1);
  await pass(-3 * hour, 5_000);
  assert.deepEqual(replans[1], [wall(), minute]);
  assert.deepEqual(jumps, [[-3 * hour - 5_000, 0]]);
  assert.equal(looks(), 2, 'the queue is looked at again');
});

test('a machine that was suspended looks at the queue at once, and plans nothing anew', async (t) => {
  const { scheduler, replans, jumps, looks, pass } = useScheduler(t, 0);
  scheduler.start();
  await until('it sleeps', () => looks() === 1);
  await pass(5_000);
  assert.equal(looks(), 1, 'nothing is due, and no jump');
  await pass(8 * hour, 5_000);
  assert.equal(looks(), 2);
  assert.equal(replans.length, 1);
  assert.deepEqual(jumps, [[8 * hour - 5_000, 0]]);
});
