/** What keeps one OAuth client's trouble away from the others goes by the clock that it is given, and by no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBulwark } from '../../broker/resilience.ts';
import { minute } from '../support/store-fixtures.ts';

test('a clock on the wall that is set back keeps nobody from being asked again', async (t) => {
  let wall = Date.now();
  t.mock.method(Date, 'now', () => wall);
  let now = minute(0);
  const bulwark = createBulwark({
    slots: 1,
    failures: 1,
    firstOpenMs: 1_000,
    longestOpenMs: 1_000,
    isOutage: () => true,
    now: () => now,
    randomFraction: () => 0,
    onBreaker: () => {},
  });
  const ask = (question: () => Promise<string>) =>
    bulwark.enter(
      (enter) => enter(question),
      async () => {},
    );
  await assert.rejects(
    ask(async () => {
      throw new Error('no answer');
    }),
  );
  assert.equal(bulwark.standing(now).state, 'open');
  wall -= 3_600_000;
  now = minute(1);
  assert.deepEqual(await ask(async () => 'well again'), { done: 'well again' });
  assert.equal(bulwark.standing(now).state, 'free');
});
