/** What readers leave behind in the table of channels, and what a wrong clock did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelChange } from '../../broker/ports.ts';
import { until } from '../support/poll.ts';
import { atEnd } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { anActiveChannel, aRecord, aRefresh, fill, lease, minute } from '../support/store-fixtures.ts';

const hourMs = 3_600_000;

test('notes when a channel was used, once an hour, and never sets it back', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const lastUsed = async (from: number) => {
    const claim = await store.channels.claim('ch_1', lease(from, from + 1));
    return claim?.lastUsedAt;
  };
  const note = (at: number) => store.channels.noteUse(new Map([['ch_1', minute(at)]]), hourMs);
  assert.equal(await lastUsed(0), undefined);
  assert.deepEqual(await note(10), ['ch_1']);
  assert.deepEqual(await note(60), ['ch_1']);
  assert.deepEqual(await lastUsed(2), minute(10));
  assert.deepEqual(await note(71), ['ch_1']);
  assert.deepEqual(await note(5), ['ch_1']);
  assert.deepEqual(await lastUsed(4), minute(71));
});

test('waits for no row that somebody has locked, and asks for it again; a channel that is gone is told of no more', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  const used = new Map(['ch_1', 'ch_2', 'ch_gone'].map((id) => [id, minute(10)]));
  await database.transaction(async (trx) => {
    await trx.selectFrom('channels').select('id').where('id', '=', 'ch_1').forUpdate().execute();
    assert.deepEqual((await store.channels.noteUse(used, hourMs)).toSorted(), ['ch_2', 'ch_gone']);
  });
  assert.deepEqual((await store.channels.noteUse(used, hourMs)).toSorted(), ['ch_1', 'ch_2', 'ch_gone']);
});

test('tells the end of a refresh that somebody waits for, and of no other', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  const told: string[] = [];
  let hears = false;
  const following = store.changes.follow(
    {
      changed: (changes: readonly ChannelChange[]) => told.push(...changes.map(({ channel }) => channel)),
      lookAgain: () => {},
      hears: () => {
        hears = true;
      },
      deaf: () => {},
    },
    () => 0,
  );
  atEnd(t, () => following.stop());
  await until('it hears', () => hears);
  assert.equal(await store.channels.awaitRefresh('ch_1', minute(30)), false, 'nothing runs');
  for (const id of ['ch_2', 'ch_1']) {
    const claim = await store.channels.claim(id, lease(30, 32));
    assert.ok(claim);
    if (id === 'ch_1') assert.equal(await store.channels.awaitRefresh(id, minute(31)), true);
    const record = aRecord('token.refresh', { channel: id });
    await store.channels.refreshed(claim, aRefresh(), record);
  }
  await until('the end is told', () => told.includes('ch_1'));
  assert.deepEqual(told, ['ch_1']);
});

test('makes due, spread over some time, what was refreshed by a clock that was ahead', async (t) => {
  const { store } = await useStore(t);
  const ids = Array.from({ length: 20 }, (_, n) => `ch_${n}`);
  const ahead = { lastRefreshAt: minute(60), refreshDueAt: minute(90) };
  await fill(
    store,
    ...ids.map((id) => anActiveChannel({ id, name: id }, ahead)),
    anActiveChannel({ id: 'ch_right', name: 'right' }, { lastRefreshAt: minute(0), refreshDueAt: minute(40) }),
  );
  assert.equal(await store.channels.replan(minute(1), 120_000), 20);
  const dues = await Promise.all(
    ids.map(async (id) => (await store.channels.find(id))?.grant?.refreshDueAt?.getTime()),
  );
  for (const due of dues) assert.ok(due && due >= minute(1).getTime() && due <= minute(3).getTime(), `${due}`);
  assert.ok(new Set(dues).size > 10, 'they are due at once');
  assert.deepEqual((await store.channels.find('ch_right'))?.grant?.refreshDueAt, minute(40));
});
