import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditFilter, AuditPage, Store } from '../../broker/ports.ts';
import { createAuditReader } from '../../broker/store/audit-reader.ts';
import { useStore } from '../support/store.ts';
import { aRecord, fill, minute } from '../support/store-fixtures.ts';

async function written(store: Store, number: number): Promise<void> {
  for (let n = 1; n <= number; n += 1) {
    const caller = n % 2 === 0 ? 'bob' : 'alice';
    await store.audit.append(
      aRecord('channel.show', { at: minute(n), requestId: `req-${n}`, caller, channel: 'ch_1' }),
    );
  }
}

const ids = ({ entries }: AuditPage): readonly string[] => entries.map(({ record }) => record.requestId);

test('shows a chain page by page, backwards to its beginning and forwards to its head, each record once', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  await written(store, 7);
  const read = (from: object) =>
    store.auditReader.page({ chain: 'acme', filter: { action: 'channel.show' }, limit: 3, from });
  const newest = await read({});
  const older = await read({ before: newest.next });
  const oldest = await read({ before: older.next });
  assert.deepEqual(
    [newest, older, oldest].flatMap(ids),
    [7, 6, 5, 4, 3, 2, 1].map((n) => `req-${n}`),
  );
  assert.equal(oldest.next, undefined);

  const first = await read({ after: 0 });
  const second = await read({ after: first.next });
  const third = await read({ after: second.next });
  assert.deepEqual(
    [first, second, third].flatMap(ids),
    [1, 2, 3, 4, 5, 6, 7].map((n) => `req-${n}`),
  );
  assert.equal(third.next, third.head);
  const nothing = await read({ after: third.next });
  assert.deepEqual([nothing.entries, nothing.next], [[], third.head]);
  await store.audit.append(aRecord('channel.show', { requestId: 'req-8' }));
  assert.deepEqual(ids(await read({ after: third.next })), ['req-8']);
});

const filters: readonly (readonly [string, AuditFilter, readonly number[]])[] = [
  ['caller', { caller: 'bob' }, [4, 2]],
  ['request id', { requestId: 'req-3' }, [3]],
  ['channel', { channel: 'ch_2' }, []],
  ['result', { result: 'ok', action: 'channel.show' }, [4, 3, 2, 1]],
  ['time, from the first instant on and before the second', { since: minute(2), until: minute(4) }, [3, 2]],
];

for (const [what, filter, expected] of filters) {
  test(`shows only the records of one ${what}`, async (t) => {
    const { store } = await useStore(t);
    await fill(store);
    await written(store, 4);
    const page = await store.auditReader.page({ chain: 'acme', filter, limit: 10, from: {} });
    assert.deepEqual(
      ids(page),
      expected.map((n) => `req-${n}`),
    );
  });
}

test('a page that has looked far enough goes on with the next one, and none is lost at the seams', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  await written(store, 13);
  const reader = createAuditReader(database, 3);
  const read = async (next: (page: AuditPage) => object | undefined, first: object) => {
    const found: string[] = [];
    let from: object | undefined = first;
    let pages = 0;
    for (; from; pages += 1) {
      const page: AuditPage = await reader.page({ chain: 'acme', filter: { caller: 'bob' }, limit: 10, from });
      found.push(...ids(page));
      from = next(page);
    }
    return { found, pages };
  };
  const forwards = await read(({ next = 0, head }) => (next < head ? { after: next } : undefined), { after: 0 });
  const backwards = await read(({ next }) => (next === undefined ? undefined : { before: next }), {});
  const bobs = [2, 4, 6, 8, 10, 12].map((n) => `req-${n}`);
  assert.deepEqual(forwards, { found: bobs, pages: 5 });
  assert.deepEqual(backwards, { found: bobs.toReversed(), pages: 5 });
});

test('finds the records of a request by the name that its caller gave it, and of no other', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const given = ['trace-1.00aa@one', 'trace-1.00bb@two', 'trace-10.00cc@one', '00dd@one', 'trace-1x00aa@one'];
  for (const requestId of given) await store.audit.append(aRecord('channel.show', { requestId }));
  const found = async (requestId: string) =>
    ids(await store.auditReader.page({ chain: 'acme', filter: { requestId }, limit: 10, from: { after: 0 } }));
  assert.deepEqual(await found('trace-1'), ['trace-1.00aa@one', 'trace-1.00bb@two']);
  assert.deepEqual(await found('trace-1.00aa@one'), ['trace-1.00aa@one']);
  assert.deepEqual(await found('00dd'), []);
});

test('keeps the chains apart', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  await store.audit.append(aRecord('tenant.list', { tenant: undefined, requestId: 'of-the-installation' }));
  const installation = await store.auditReader.page({ chain: '', filter: {}, limit: 10, from: {} });
  assert.ok(ids(installation).includes('of-the-installation'));
  const tenant = await store.auditReader.page({ chain: 'acme', filter: {}, limit: 10, from: {} });
  assert.ok(!ids(tenant).includes('of-the-installation'));
  assert.deepEqual(await store.auditReader.page({ chain: 'nobody', filter: {}, limit: 10, from: {} }), {
    entries: [],
    next: undefined,
    head: 0,
  });
});
