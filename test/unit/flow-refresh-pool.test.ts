/** The places for refreshes: given to the next due channel as they become free, whatever the others wait for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRefreshFlights } from '../../broker/flow/refresh-flights.ts';
import { createRefreshPool } from '../../broker/flow/refresh-pool.ts';
import type { Admission, CachedToken, ClaimLimits, QueuePart, RefreshClaim, Store } from '../../broker/ports.ts';
import { aGrant, anActiveChannel, minute, start } from '../support/store-fixtures.ts';

/** A queue of channels in memory; a refresh ends when it is told to. */
function pool(due: readonly { readonly id: string; readonly client: string }[], concurrency: number, most = 1_000) {
  let left = [...due];
  const asked: (ClaimLimits & QueuePart)[] = [];
  const running = new Map<string, () => void>();
  const begun: string[] = [];
  const isIn = (part: QueuePart) => left.filter(({ client }) => !part.exceptClients.includes(client));
  const channels = {
    claimDue: async (part: QueuePart, _lease: unknown, limits: ClaimLimits) => {
      asked.push({ ...part, ...limits });
      const rooms = new Map(limits.roomOf);
      const chosen = isIn(part).filter(({ client }) => {
        const room = rooms.get(client) ?? limits.room;
        rooms.set(client, room - 1);
        return room > 0;
      });
      const claims = chosen.slice(0, limits.limit);
      left = left.filter((one) => !claims.includes(one));
      return claims.map(({ id, client }) => claimOf(id, client));
    },
    nextDue: async (part: QueuePart) => (isIn(part).length > 0 ? start : undefined),
  } as unknown as Store['channels'];
  const admission: Admission = {
    excluded: () => ({ clients: [], lookAgainAt: undefined }),
    windows: () => ({ least: most, of: new Map() }),
    run: (_client, _region, work) => work(),
  };
  let ended = 0;
  const pauses: (() => void)[] = [];
  const made = createRefreshPool({
    store: { channels } as Store,
    runClaim: (_caller, { channel }) => {
      begun.push(channel.id);
      return new Promise<CachedToken>((_, reject) => {
        running.set(channel.id, () => {
          running.delete(channel.id);
          reject(new Error('over'));
        });
      });
    },
    flights: createRefreshFlights(),
    admission,
    clock: { now: () => start },
    concurrency,
    regions: () => undefined,
    replica: 'test',
    newRequestId: () => 'r',
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        pauses.push(resolve);
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      }),
    onBegun: () => {},
    onEnded: () => {
      ended += 1;
    },
    onFault: () => {},
  });
  const end = async (id: string) => {
    running.get(id)?.();
    const before = ended;
    while (ended === before) await new Promise(setImmediate);
    for (let turns = 0; turns < 10; turns += 1) await new Promise(setImmediate);
  };
  return { made, begun, running, asked, end, pauses };
}

function claimOf(id: string, oauthClient: string): RefreshClaim {
  const grant = aGrant();
  return {
    channel: anActiveChannel({ id, name: id, oauthClient }),
    grant,
    fence: 1,
    until: minute(1),
    lastUsedAt: undefined,
    proofDueAt: undefined,
  };
}

const turn = async () => {
  for (let turns = 0; turns < 10; turns += 1) await new Promise(setImmediate);
};

test('one that hangs holds its own place, and the others go on', async () => {
  const due = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, client: 'uploads' }));
  const { made, begun, running, end } = pool(due, 2);
  const filling = made.fill(new AbortController().signal);
  await turn();
  assert.deepEqual(begun, ['a', 'b']);
  for (const id of ['b', 'c', 'd']) await end(id);
  assert.deepEqual(begun, ['a', 'b', 'c', 'd', 'e'], 'a hangs');
  await end('e');
  assert.deepEqual(await filling, { begun: 5, lookAgainAt: undefined, passedOver: false });
  let settled = false;
  void made.settled().then(() => {
    settled = true;
  });
  await turn();
  assert.equal(settled, false);
  running.get('a')?.();
  await turn();
  assert.equal(settled, true);
});

test('one OAuth client has no more places than it may, and the end of one of its refreshes is a reason to look', async () => {
  const due = [...'abcdef'].map((id) => ({ id, client: 'slow' }));
  const { made, begun, end } = pool([...due, { id: 'x', client: 'quick' }], 8, 3);
  const first = await made.fill(new AbortController().signal);
  assert.deepEqual(begun, ['a', 'b', 'c', 'x']);
  assert.equal(first.passedOver, true);
  assert.equal(first.lookAgainAt, undefined, 'nothing else is due');
  await end('a');
  await made.fill(new AbortController().signal);
  assert.deepEqual(begun, ['a', 'b', 'c', 'x', 'd']);
});

test('ends when it is told to stop, and leaves the rest in the queue', async () => {
  const { made, begun } = pool(
    [...'abc'].map((id) => ({ id, client: 'uploads' })),
    1,
  );
  const stopping = new AbortController();
  const filling = made.fill(stopping.signal);
  await turn();
  stopping.abort();
  assert.equal((await filling).begun, 1);
  assert.deepEqual(begun, ['a']);
});

test('those that end are told of together: so many, or all that ran, or whoever there is after a moment', async () => {
  const due = ['a', 'b', 'c'].map((id) => ({ id, client: 'uploads' }));
  const { made, running, pauses } = pool(due, 24);
  await made.fill(new AbortController().signal);
  const told: string[] = [];
  void made.someEnded().then(() => told.push('first'));
  running.get('a')?.();
  await turn();
  assert.equal(told.length, 0, 'three are worth a claim');
  for (const end of pauses) end();
  await turn();
  assert.equal(told.join(), 'first');

  void made.someEnded().then(() => told.push('second'));
  running.get('b')?.();
  await turn();
  assert.equal(told.join(), 'first');
  running.get('c')?.();
  await turn();
  assert.equal(told.join(), 'first,second', 'none runs any more');
  assert.equal(await made.someEnded(), false);
});
