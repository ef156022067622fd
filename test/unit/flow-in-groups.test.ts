import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inGroups } from '../../broker/flow/in-groups.ts';

/** Groups whose work ends when the test says so. */
function held(largest: number, mostWaiting = 100) {
  const groups: { readonly asks: readonly number[]; readonly end: (failure?: Error) => void }[] = [];
  const ask = inGroups<number, string>({
    work: (asks) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      groups.push({ asks, end: (failure) => (failure ? reject(failure) : resolve(asks.map(String))) });
      return promise;
    },
    largest,
    mostWaiting,
    full: () => new Error('full'),
  });
  return { ask, groups };
}

const turn = () => new Promise(setImmediate);

test('what arrives in one turn is one group, and what arrives while it is under way is the next', async () => {
  const { ask, groups } = held(10);
  const first = [ask(1), ask(2)];
  await turn();
  const second = [ask(3), ask(4), ask(5)];
  await turn();
  assert.deepEqual(
    groups.map(({ asks }) => asks),
    [[1, 2]],
  );
  groups[0]?.end();
  assert.deepEqual(await Promise.all(first), ['1', '2']);
  await turn();
  assert.deepEqual(groups[1]?.asks, [3, 4, 5]);
  groups[1]?.end();
  assert.deepEqual(await Promise.all(second), ['3', '4', '5']);
});

test('a group is never larger than it may be, and none is left behind', async () => {
  const { ask, groups } = held(2);
  const asked = [1, 2, 3, 4, 5].map(ask);
  for (let done = 0; done < 3; done += 1) {
    await turn();
    groups[done]?.end();
    await turn();
  }
  assert.deepEqual(await Promise.all(asked), ['1', '2', '3', '4', '5']);
  assert.deepEqual(
    groups.map(({ asks }) => asks.length),
    [2, 2, 1],
  );
});

test('where the work fails all of its group hear it, and the next group is tried all the same', async () => {
  const { ask, groups } = held(2);
  const failing = Promise.allSettled([ask(1), ask(2)]);
  const next = ask(3);
  await turn();
  groups[0]?.end(new Error('away'));
  assert.deepEqual(
    (await failing).map((outcome) => outcome.status === 'rejected' && outcome.reason.message),
    ['away', 'away'],
  );
  await turn();
  groups[1]?.end();
  assert.equal(await next, '3');
});

test('refuses what would wait beyond the bound, so that a fault below does not fill the memory', async () => {
  const { ask, groups } = held(2, 3);
  const running = [ask(1), ask(2)];
  await turn();
  const waiting = [ask(3), ask(4), ask(5)];
  await assert.rejects(ask(6), /full/);
  for (const place of [0, 1, 2]) {
    groups[place]?.end();
    await turn();
    await turn();
  }
  assert.deepEqual(await Promise.all([...running, ...waiting]), ['1', '2', '3', '4', '5']);
});
