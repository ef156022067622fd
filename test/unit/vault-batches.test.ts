import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBatches } from '../../broker/vault/batches.ts';

/** Sends that end when the test says so. */
function createSender() {
  const sent: { readonly key: string; readonly items: readonly number[]; readonly end: () => void }[] = [];
  const send = (key: string, items: readonly number[]) =>
    new Promise<readonly number[]>((resolve) => {
      sent.push({ key, items, end: () => resolve(items.map((item) => item * 10)) });
    });
  return { sent, send };
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

test('what comes while a request runs is sent together when it ends', async () => {
  const { sent, send } = createSender();
  const call = createBatches(send);
  const first = call('a', 1);
  await turn();
  const later = Promise.all([call('a', 2), call('a', 3)]);
  await turn();
  assert.deepEqual(
    sent.map(({ items }) => items),
    [[1]],
  );
  sent[0]?.end();
  assert.equal(await first, 10);
  await turn();
  assert.deepEqual(
    sent.map(({ items }) => items),
    [[1], [2, 3]],
  );
  sent[1]?.end();
  assert.deepEqual(await later, [20, 30]);
});

test('a full batch does not wait for the request that runs, and none is larger', async () => {
  const { sent, send } = createSender();
  const call = createBatches(send, 2);
  const all = Promise.all([1, 2, 3, 4, 5].map((item) => call('a', item)));
  await turn();
  assert.deepEqual(
    sent.map(({ items }) => items),
    [
      [1, 2],
      [3, 4],
    ],
  );
  for (const { end } of sent.slice()) end();
  await turn();
  sent[2]?.end();
  assert.deepEqual(await all, [10, 20, 30, 40, 50]);
});

test('another key does not wait', async () => {
  const { sent, send } = createSender();
  const call = createBatches(send);
  void call('a', 1);
  await turn();
  void call('b', 2);
  await turn();
  assert.deepEqual(
    sent.map(({ key }) => key),
    ['a', 'b'],
  );
});

test('a request that fails fails all of its items, and the next goes through', async () => {
  let isBroken = true;
  const call = createBatches<number, number>(async (_key, items) => {
    if (isBroken) throw new Error('sealed');
    return items.map((item) => (item === 2 ? new Error('bad item') : item));
  });
  const results = await Promise.allSettled([call('a', 1), call('a', 2)]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  isBroken = false;
  const next = await Promise.allSettled([call('a', 1), call('a', 2), call('a', 3)]);
  assert.deepEqual(
    next.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});
