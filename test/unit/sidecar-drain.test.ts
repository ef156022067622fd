import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDrain } from '../../sidecar/drain.ts';
import type { ServedToken, TokenSource } from '../../sidecar/token-source.ts';

const wish = { channelId: 'ch_a', minTtlSeconds: 0, scopes: [] };
const served = { token: { channelId: 'ch_a' }, stale: undefined } as unknown as ServedToken;

function sourceWith(read: () => Promise<ServedToken>): TokenSource {
  return { held: () => served, read, reject: async () => 'unknown' } as unknown as TokenSource;
}

test('lets a read on its way end, and refuses those that come after its beginning', async () => {
  const answer = Promise.withResolvers<ServedToken>();
  const { tokens, begin, draining } = createDrain(sourceWith(() => answer.promise));
  const reading = tokens.read(wish);
  let isOver = false;
  const drained = begin(60_000).then(() => {
    isOver = true;
  });
  assert.ok(draining());
  assert.equal(tokens.held(wish), undefined);
  await assert.rejects(tokens.read(wish), { code: 'STOPPING', http: 503 });
  await assert.rejects(tokens.reject('ch_a', 'hash'), { code: 'STOPPING' });
  assert.ok(!isOver, 'it ended before the read');
  answer.resolve(served);
  assert.equal(await reading, served);
  await drained;
});

test('counts a read that fails as one that has ended', async () => {
  const { tokens, begin } = createDrain(sourceWith(() => Promise.reject(new Error('x'))));
  await assert.rejects(tokens.read(wish));
  await begin(60_000);
});

test('waits no longer than it may', async () => {
  const { tokens, begin } = createDrain(sourceWith(() => new Promise(() => {})));
  void tokens.read(wish);
  await begin(1);
});

test('changes nothing before its beginning', async () => {
  const { tokens, draining } = createDrain(sourceWith(async () => served));
  assert.equal(tokens.held(wish), served);
  assert.equal(await tokens.read(wish), served);
  assert.ok(!draining());
});
