/** What readers leave behind in the table of channels, and what a wrong clock did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createRefreshChannel } from '../../broker/flow/refresh-channel.ts';
import { createRefreshFlights } from '../../broker/flow/refresh-flights.ts';
import type { AccessTokenCache, CachedToken, ChannelChange } from '../../broker/ports.ts';
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

test('a reader waits where somebody else’s transaction has locked the row, and refreshes after it', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const [locked, unlock] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = database.transaction(async (trx) => {
    await trx.selectFrom('channels').select('id').where('id', '=', 'ch_1').forUpdate().execute();
    locked.resolve();
    await unlock.promise;
  });
  await locked.promise;
  const token: CachedToken = { accessToken: new Secret('ya29.new'), expiresAt: minute(60) };
  let waits = 0;
  const refreshes = createRefreshChannel({
    store,
    cache: {} as AccessTokenCache,
    clock: { now: () => minute(0) },
    runClaim: async () => token,
    flights: createRefreshFlights(),
    replica: 'test',
    sleep: async () => {
      waits += 1;
      if (waits < 3) return;
      unlock.resolve();
      await holding;
    },
  });
  try {
    const caller = { kind: 'scheduler', requestId: 'r' } as const;
    assert.equal(await refreshes.refresh(caller, 'ch_1', new AbortController().signal), token);
    assert.equal(waits, 3);
  } finally {
    unlock.resolve();
  }
});

test('tells the end of a refresh that somebody waits for, and of no other', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  const told: string[] = [];
  let hears = false;
  const following = store.changes.follow(
    {
      changed: (changes: readonly ChannelChange[]) => told.push(...changes.map(({ channel }) => channel)),
      denialsChanged: () => {},
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
