import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRewrapCiphertexts } from '../../broker/flow/rewrap-ciphertexts.ts';
import type { Ciphertexts, StoredCiphertext, TenantKeys } from '../../broker/ports.ts';

/** Rows of grants in memory, in the order of their ids. */
function rowsOf(count: number) {
  const versions = new Map(Array.from({ length: count }, (_, n) => [`ch_${String(n).padStart(4, '0')}`, 1]));
  const ciphertexts: Ciphertexts = {
    countByKeyVersion: async () => [],
    below: async (_tenant, kind, version, after, limit) =>
      [...versions]
        .filter(([id, at]) => kind === 'grant' && at < version && id > (after?.id ?? ''))
        .slice(0, limit)
        .map(([id]): StoredCiphertext => ({ id, channel: id, generation: 1, ciphertext: id })),
    replace: async (_kind, changes) => {
      for (const { id } of changes) versions.set(id, 2);
      return changes.length;
    },
  };
  return { versions, ciphertexts };
}

function rewrapOf(rows: number, rowsPerSecond: number | undefined) {
  const { versions, ciphertexts } = rowsOf(rows);
  const clock = { at: 1_000_000, now: () => new Date(clock.at) };
  const batches: { readonly at: number; readonly rows: number }[] = [];
  const keys: Pick<TenantKeys, 'rewrapBatch'> = {
    rewrapBatch: async (_tenant, batch) => {
      batches.push({ at: clock.at - 1_000_000, rows: batch.length });
      return batch.map(({ ciphertext }) => ({ ciphertext: `vault:v2:${ciphertext}` }));
    },
  };
  const rewrap = createRewrapCiphertexts({
    store: { ciphertexts },
    keys,
    clock,
    sleep: async (ms) => {
      clock.at += ms;
    },
    rowsPerSecond,
    onRewrapped: () => {},
  });
  return { rewrap, versions, batches };
}

const carryOn = { beforeBatch: async () => {}, signal: new AbortController().signal };

test('rewraps no more rows in a second than it may, from the first second on', async () => {
  const { rewrap, batches } = rewrapOf(900, 100);
  assert.deepEqual(await rewrap('acme', 2, carryOn), { moved: 900, failed: [] });
  assert.deepEqual(
    batches,
    Array.from({ length: 9 }, (_, n) => ({ at: n * 1_000, rows: 100 })),
  );
});

test('without a limit it waits for nothing', async () => {
  const { rewrap, batches } = rewrapOf(450, undefined);
  await rewrap('acme', 2, carryOn);
  assert.deepEqual(batches, [
    { at: 0, rows: 200 },
    { at: 0, rows: 200 },
    { at: 0, rows: 50 },
  ]);
});

test('tenants share the rate of a replica', async () => {
  const { rewrap, versions, batches } = rewrapOf(100, 100);
  await rewrap('acme', 2, carryOn);
  for (const id of versions.keys()) versions.set(id, 1);
  await rewrap('other', 2, carryOn);
  assert.deepEqual(
    batches.map(({ at }) => at),
    [0, 1_000],
  );
});

test('ends between two batches where the broker stops, and what was moved stays moved', async () => {
  const { rewrap, versions, batches } = rewrapOf(450, undefined);
  const stopping = new AbortController();
  const beforeBatch = async () => {
    if (batches.length === 1) stopping.abort(new Error('the broker stops'));
  };
  await assert.rejects(rewrap('acme', 2, { beforeBatch, signal: stopping.signal }), /the broker stops/);
  assert.ok(batches.length < 3);
  assert.equal([...versions.values()].filter((version) => version === 2).length % 200, 0);
});
