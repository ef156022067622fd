import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ChannelStatus } from '../../proto/load.ts';
import type { SubscriptionListener } from '../../sidecar/broker-connection.ts';
import { sidecarError } from '../../sidecar/errors.ts';
import { createSubscription } from '../../sidecar/subscription.ts';

/** A subscription on a clock that stands still, over a broker that does as told. */
function useSubscription(t: TestContext, random = 0) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_780_000_000_000 });
  const streams: { channels: readonly string[]; listener: SubscriptionListener; cancelled: boolean }[] = [];
  const heard: (readonly ChannelStatus[])[] = [];
  const subscription = createSubscription({
    broker: {
      subscribe(channels, listener) {
        const stream = { channels, listener, cancelled: false };
        streams.push(stream);
        return {
          cancel() {
            stream.cancelled = true;
          },
        };
      },
    },
    onStatus: (channels) => void heard.push(channels),
    log: { info() {}, warn() {}, error() {} },
    now: Date.now,
    random: () => random,
  });
  t.after(subscription.stop);
  return {
    subscription,
    streams,
    heard,
    open: () => streams.filter(({ cancelled }) => !cancelled).length,
    pass: (milliseconds: number) => t.mock.timers.tick(milliseconds),
  };
}

const nothing = { channels: [] };

test('opens the next stream beside the old one, which ends when the new one has spoken', (t) => {
  const { subscription, streams, open, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  streams[0]?.listener.update(nothing);
  subscription.renew();
  pass(0);
  assert.deepEqual([streams.length, open()], [2, 2]);
  streams[1]?.listener.update(nothing);
  assert.deepEqual([streams[0]?.cancelled, streams[1]?.cancelled], [true, false]);
});

test('believes nothing of a stream that another has replaced', (t) => {
  const { subscription, streams, heard, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  streams[0]?.listener.update(nothing);
  subscription.renew();
  pass(0);
  streams[1]?.listener.update(nothing);
  assert.equal(heard.length, 2);
  streams[0]?.listener.update(nothing);
  assert.equal(heard.length, 2);
  streams[0]?.listener.ended(sidecarError('BROKER_UNREACHABLE'));
  pass(20_000);
  assert.equal(streams.length, 2, 'its end opens no other');
});

test('the end of a stream whose next is being opened opens no third', (t) => {
  const { subscription, streams, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  streams[0]?.listener.update(nothing);
  subscription.renew();
  pass(0);
  streams[0]?.listener.ended(sidecarError('BROKER_UNREACHABLE'));
  pass(20_000);
  assert.equal(streams.length, 2);
  streams[1]?.listener.update(nothing);
  assert.equal(subscription.silentFor(1_000), undefined);
});

test('silence is counted from when there is something to hear of, and says the newest reason', (t) => {
  const { subscription, streams, pass } = useSubscription(t);
  pass(600_000);
  subscription.want(['ch_1']);
  pass(20);
  assert.equal(subscription.silentFor(10_000), undefined);
  streams[0]?.listener.ended(sidecarError('BROKER_NOT_TRUSTED'));
  pass(10_000);
  streams.at(-1)?.listener.ended(undefined);
  assert.equal(subscription.silentFor(10_000)?.code, 'BROKER_NOT_TRUSTED');
});

test('a broker that does not know the call is asked again after five minutes, unless there is another connection', (t) => {
  const { subscription, streams, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  streams[0]?.listener.ended(sidecarError('BROKER_TOO_OLD'));
  pass(299_000);
  assert.equal(streams.length, 1);
  pass(2_000);
  assert.equal(streams.length, 2);
  streams[1]?.listener.ended(sidecarError('BROKER_TOO_OLD'));
  subscription.renew();
  pass(0);
  assert.equal(streams.length, 3);
});

test('makes one stream of many changes of the set, and none where nothing changes', (t) => {
  const { subscription, streams, pass } = useSubscription(t);
  subscription.want([]);
  pass(1_000);
  assert.equal(streams.length, 0);
  for (const channels of [['ch_1'], ['ch_1', 'ch_2'], ['ch_2', 'ch_1', 'ch_3']]) subscription.want(channels);
  pass(20);
  subscription.want(['ch_3', 'ch_2', 'ch_1']);
  pass(1_000);
  assert.deepEqual(
    streams.map(({ channels }) => channels),
    [['ch_2', 'ch_1', 'ch_3']],
  );
  subscription.want(Array.from({ length: 1_500 }, (_, n) => `ch_${n}`));
  pass(20);
  assert.equal(streams.at(-1)?.channels.length, 1_000);
});

test('takes a stream that is silent for dead, and opens another', (t) => {
  const { subscription, streams, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  for (let spoken = 0; spoken < 10; spoken += 1) {
    streams[0]?.listener.update(nothing);
    pass(10_000);
  }
  assert.equal(streams.length, 1);
  assert.equal(subscription.silentFor(30_000), undefined);
  pass(20_000);
  pass(100);
  assert.deepEqual([streams.length, streams[0]?.cancelled], [2, true]);
  pass(5_000);
  assert.equal(subscription.silentFor(30_000)?.code, 'BROKER_UNREACHABLE');
});

test('tries again later and later, spread by chance, and no later than the broker says', (t) => {
  const { subscription, streams, pass } = useSubscription(t, 0.999);
  subscription.want(['ch_1']);
  pass(20);
  const delays = Array.from({ length: 8 }, () => {
    const before = streams.length;
    streams.at(-1)?.listener.ended(sidecarError('BROKER_UNREACHABLE'));
    let waited = 0;
    for (; streams.length === before; waited += 50) pass(50);
    return waited;
  });
  assert.deepEqual(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  streams.at(-1)?.listener.update(nothing);
  const before = streams.length;
  streams.at(-1)?.listener.ended(undefined);
  pass(250);
  assert.equal(streams.length, before + 1, 'the first try after a stream that worked is a quick one');
});

test('forgets its streams when nothing is wanted any more, and at the end', (t) => {
  const { subscription, streams, open, pass } = useSubscription(t);
  subscription.want(['ch_1']);
  pass(20);
  streams[0]?.listener.update(nothing);
  subscription.want([]);
  pass(20);
  assert.equal(open(), 0);
  assert.equal(subscription.silentFor(0), undefined);
  subscription.want(['ch_1']);
  pass(20);
  subscription.stop();
  assert.equal(open(), 0);
});
