/** Which channels are in use: noted in memory, written in batches, kept while the database is away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNoteUse } from '../../broker/flow/note-use.ts';
import { minute } from '../support/store-fixtures.ts';

function note(watched: readonly string[] = []) {
  const world = { now: minute(0), isAway: false, batches: [] as (readonly string[])[] };
  const use = createNoteUse({
    store: {
      channels: {
        noteUse: async (used) => {
          if (world.isAway) throw new Error('away');
          world.batches.push([...used.keys()]);
          return [...used.keys()];
        },
      },
    },
    watched: () => watched,
    clock: { now: () => world.now },
    sleep: async () => {},
  });
  return { use, world };
}

test('writes a channel once an hour, however often it is read', async () => {
  const { use, world } = note();
  for (let times = 0; times < 100; times += 1) use.used('ch_1');
  await use.flush();
  world.now = minute(59);
  use.used('ch_1');
  await use.flush();
  assert.deepEqual(world.batches, [['ch_1']]);
  assert.deepEqual(use.lastUsedAt('ch_1'), minute(59));
  world.now = minute(60);
  use.used('ch_1');
  await use.flush();
  assert.deepEqual(world.batches, [['ch_1'], ['ch_1']]);
});

test('keeps what could not be written until the database is back', async () => {
  const { use, world } = note();
  world.isAway = true;
  use.used('ch_1');
  await assert.rejects(use.flush());
  use.used('ch_2');
  world.isAway = false;
  await use.flush();
  assert.deepEqual(world.batches, [['ch_1', 'ch_2']]);
});

test('a channel that is watched is in use though nobody reads it', async () => {
  const { use, world } = note(['ch_9']);
  await use.flush();
  assert.deepEqual(world.batches, [['ch_9']]);
});
