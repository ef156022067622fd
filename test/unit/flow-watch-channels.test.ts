import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import type { Workload } from '../../broker/domain/caller.ts';
import { BrokerError } from '../../broker/errors.ts';
import { createWatchChannels, type WatchedChannel } from '../../broker/flow/watch-channels.ts';
import type { ChannelStanding, Store } from '../../broker/ports.ts';

const idOf = (n: number) => `ch_${String(n).padStart(26, '0')}`;
const workloadOf = (name: string): Workload => ({
  kind: 'workload',
  spiffeId: `spiffe://media.example/workload/${name}`,
  certificateSerial: '01',
  ip: undefined,
  requestId: name,
});
const one = idOf(1);
const turn = () => new Promise(setImmediate);

/** Channels in memory that only the workload `reader` may read; time goes on when the test says so. */
function rig() {
  const standings = new Map<string, ChannelStanding>([
    [one, { id: one, tenant: 'acme', state: 'active', generation: 1, grantedScopes: ['upload'] }],
  ]);
  const state = {
    now: 0,
    away: false,
    unrecorded: false,
    onRecord: () => {},
    looks: 0,
    faults: 0,
    records: [] as AuditRecord[],
    sleeps: [] as { readonly ms: number; readonly end: () => void }[],
  };
  const store = {
    channels: {
      standings: async (ids: readonly string[]) => {
        state.looks += 1;
        if (state.away) throw new BrokerError('STORE_UNAVAILABLE');
        return ids.flatMap((id) => standings.get(id) ?? []);
      },
    },
    workloadAccess: {
      listFor: async (spiffeIds: readonly string[], channels: readonly string[]) =>
        spiffeIds.includes(workloadOf('reader').spiffeId)
          ? channels.map((channel) => ({ spiffeId: workloadOf('reader').spiffeId, channel }))
          : [],
    },
    audit: {
      append: async (record: AuditRecord) => {
        if (state.unrecorded) throw new BrokerError('AUDIT_UNAVAILABLE');
        state.records.push(record);
        state.onRecord();
      },
    },
  };
  const watchChannels = createWatchChannels({
    store: store as unknown as Store,
    clock: { now: () => new Date(state.now) },
    randomFraction: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        state.sleeps.push({ ms, end: resolve });
        signal.addEventListener('abort', () => resolve());
      }),
    onFault: () => {
      state.faults += 1;
    },
    onWatches: () => {},
  });
  const open = (name: string, channels: readonly string[]) => {
    const told: (readonly WatchedChannel[])[] = [];
    const ends: (string | undefined)[] = [];
    const { close } = watchChannels.watch(workloadOf(name), channels, {
      update: (news) => void told.push(news),
      end: (error) => void ends.push(error?.code ?? 'stopped'),
    });
    return { told, ends, close };
  };
  const settle = async () => {
    for (let n = 0; n < 30; n += 1) await turn();
  };
  return { state, standings, watchChannels, open, settle };
}

test('one workload has so many watches at most, and room again when one is closed', async () => {
  const { open, watchChannels } = rig();
  const watches = Array.from({ length: 512 }, () => open('reader', [one]));
  assert.throws(() => open('reader', [one]), { code: 'RATE_LIMITED' });
  open('other', [one]);
  watches[0]?.close();
  open('reader', [one]);
  await watchChannels.stop();
});

test('a broker that has heard nothing for too long ends its watches and lets nobody in until it hears again', async () => {
  const { state, open, settle, watchChannels } = rig();
  watchChannels.hearing(true);
  const watch = open('reader', [one]);
  await settle();
  watchChannels.hearing(false);
  await watchChannels.check();
  assert.deepEqual(watch.ends, []);
  state.sleeps.at(-1)?.end();
  await settle();
  assert.deepEqual(watch.ends, ['STORE_UNAVAILABLE']);
  assert.throws(() => open('reader', [one]), { code: 'STORE_UNAVAILABLE' });
  await assert.rejects(watchChannels.check(), { code: 'STORE_UNAVAILABLE' });
  watchChannels.hearing(true);
  await watchChannels.check();
  const next = open('reader', [one]);
  await settle();
  assert.equal(next.told.length, 1);
  await watchChannels.stop();
});

test('a broker that hears again in time ends nothing', async () => {
  const { state, open, settle, watchChannels } = rig();
  const watch = open('reader', [one]);
  watchChannels.hearing(false);
  const deafness = state.sleeps.at(-1);
  watchChannels.hearing(true);
  deafness?.end();
  await settle();
  assert.deepEqual(watch.ends, []);
  await watchChannels.check();
  await watchChannels.stop();
});

test('a change is told also where the look after it failed at first', async () => {
  const { state, standings, open, settle, watchChannels } = rig();
  const watch = open('reader', [one]);
  await settle();
  standings.set(one, { id: one, tenant: 'acme', state: 'suspended', generation: 1, grantedScopes: ['upload'] });
  state.away = true;
  watchChannels.changed(one);
  await settle();
  assert.equal(watch.told.length, 1);
  assert.equal(state.faults, 1);
  state.away = false;
  state.sleeps.at(-1)?.end();
  await settle();
  assert.deepEqual(watch.told.at(-1), [{ channel: one, refusal: 'CHANNEL_SUSPENDED', generation: 1 }]);
  await watchChannels.stop();
});

test('another generation is news, and what has not changed is not told again', async () => {
  const { standings, open, settle, watchChannels } = rig();
  const watch = open('reader', [one]);
  await settle();
  watchChannels.changed(one);
  await settle();
  assert.equal(watch.told.length, 1);
  standings.set(one, { id: one, tenant: 'acme', state: 'active', generation: 2, grantedScopes: ['upload'] });
  watchChannels.changed(one);
  await settle();
  assert.deepEqual(watch.told.at(-1), [{ channel: one, refusal: undefined, generation: 2 }]);
  await watchChannels.stop();
});

test('nothing is told before all channels of a watch are known, however many they are', async () => {
  const { open, settle, watchChannels } = rig();
  const many = Array.from({ length: 1_000 }, (_, n) => idOf(n));
  open('reader', [idOf(9_000)]);
  // While that is looked at, more come together than one look takes.
  const others = open('reader', [idOf(5_000)]);
  const watch = open('reader', many);
  await settle();
  assert.deepEqual([others.told.length, watch.told.length], [1, 1]);
  assert.equal(watch.told[0]?.length, 1_000);
  await watchChannels.stop();
});

test('who may not read a channel learns nothing of it, and is on record once in a while and a few times a watch', async () => {
  const { state, open, settle, watchChannels } = rig();
  const many = Array.from({ length: 30 }, (_, n) => idOf(n));
  const watch = open('stranger', many);
  await settle();
  assert.ok(watch.told[0]?.every(({ refusal, generation }) => refusal === 'ACCESS_DENIED' && generation === 0));
  assert.equal(state.records.length, 20);
  assert.deepEqual(state.records[0]?.facts.denied, 30);
  open('stranger', many.slice(0, 20));
  await settle();
  assert.equal(state.records.length, 20, 'the same again within ten minutes');
  state.now = 10 * 60_000;
  open('stranger', many.slice(0, 20));
  await settle();
  assert.equal(state.records.length, 40);
  await watchChannels.stop();
});

test('what one workload may read opens nothing to another that watches the same channel', async () => {
  const { open, settle, watchChannels } = rig();
  const [reader, stranger] = [open('reader', [one]), open('stranger', [one])];
  await settle();
  assert.deepEqual(reader.told[0], [{ channel: one, refusal: undefined, generation: 1 }]);
  assert.deepEqual(stranger.told[0], [{ channel: one, refusal: 'ACCESS_DENIED', generation: 0 }]);
  await watchChannels.stop();
});

test('a watch that is closed while its refusal is put on record is told nothing', async () => {
  const { state, open, settle, watchChannels } = rig();
  const watch = open('stranger', [one]);
  state.onRecord = watch.close;
  await settle();
  assert.deepEqual([state.records.length, watch.told], [1, []]);
  await watchChannels.stop();
});

test('where a refusal cannot be put on record the watch ends, and nothing is told', async () => {
  const { state, open, settle, watchChannels } = rig();
  state.unrecorded = true;
  const watch = open('stranger', [one]);
  await settle();
  assert.deepEqual([watch.told, watch.ends], [[], ['AUDIT_UNAVAILABLE']]);
  await watchChannels.stop();
});

test('a watch that was closed is told nothing more, and its channels are looked at no more', async () => {
  const { state, open, settle, watchChannels } = rig();
  const watch = open('reader', [one]);
  watch.close();
  await settle();
  const { looks } = state;
  watchChannels.changed(one);
  watchChannels.everythingChanged();
  await settle();
  assert.deepEqual([watch.told, watch.ends, state.looks], [[], [], looks]);
  await watchChannels.stop();
});
