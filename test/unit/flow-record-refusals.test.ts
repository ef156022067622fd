import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { createRecordLogin } from '../../broker/flow/record-login.ts';
import { createRecordRefusals, sourceOf } from '../../broker/flow/record-refusals.ts';
import type { Store } from '../../broker/ports.ts';
import { aRecord, minute, start } from '../support/store-fixtures.ts';

function recorder() {
  const written: AuditRecord[] = [];
  let failing = false;
  const append = async (record: AuditRecord): Promise<void> => {
    if (failing) throw new Error('not written');
    written.push(record);
  };
  const ends: (() => void)[] = [];
  const sleep = (_ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      ends.push(resolve);
      signal.addEventListener('abort', () => resolve());
    });
  const store = { audit: { append } } as unknown as Store;
  const refusals = createRecordRefusals({
    store,
    clock: { now: () => minute(1) },
    sleep,
    onFault: (error) => assert.fail(String(error)),
  });
  return {
    written,
    refusals,
    store,
    fail: (now: boolean) => {
      failing = now;
    },
    /** Ends the minutes that run. */
    async minuteEnds(): Promise<void> {
      for (const end of ends.splice(0)) end();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const refusal = (ip: string, detail = 'no bearer token') =>
  aRecord('identity.verify', { result: 'UNAUTHENTICATED', ip, facts: { detail } });

test('a thousand refusals of one source in a minute are two records, the second with their count', async () => {
  const { written, refusals, minuteEnds } = recorder();
  for (let time = 0; time < 1_000; time += 1) await refusals.record(refusal('192.0.2.7', `reason ${time % 9}`));
  assert.equal(written.length, 1);
  await minuteEnds();
  assert.deepEqual(written[1]?.facts, {
    count: 999,
    since: start.toISOString(),
    until: minute(1).toISOString(),
    details: ['reason 1', 'reason 2', 'reason 3', 'reason 4', 'reason 5'],
  });
  await refusals.record(refusal('192.0.2.7'));
  assert.equal(written.length, 3);
  await refusals.stop();
  assert.equal(written.length, 3);
});

test('sources are counted apart, up to a thousand: the rest is one', async () => {
  const { written, refusals } = recorder();
  for (let host = 0; host < 2_000; host += 1) await refusals.record(refusal(`10.0.${host >> 8}.${host & 255}`));
  assert.equal(written.length, 1_001);
  await refusals.stop();
  assert.equal(written.length, 1_002);
  assert.equal(written.at(-1)?.facts.count, 999);
});

test('a refusal that cannot be recorded is told, and the next one is tried again', async () => {
  const { written, refusals, fail } = recorder();
  fail(true);
  await assert.rejects(refusals.record(refusal('192.0.2.7')), /not written/);
  fail(false);
  await refusals.record(refusal('192.0.2.7'));
  assert.equal(written.length, 1);
  await refusals.stop();
});

for (const [ip, source] of [
  ['192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  [undefined, 'unknown'],
] as const) {
  test(`the source of ${ip} is ${source}`, () => assert.equal(sourceOf(ip), source));
}

test('a credential is put on record once by a replica, also where two calls come at once, and again where it failed', async () => {
  const { written, store, fail } = recorder();
  const record = createRecordLogin({ store, clock: { now: () => start } });
  const ada = {
    kind: 'person',
    subject: 'ada',
    displayName: undefined,
    groups: [],
    ip: undefined,
    requestId: 'r',
  } as const;
  fail(true);
  await assert.rejects(record(ada, { id: 'one', facts: {} }));
  fail(false);
  await Promise.all([record(ada, { id: 'one', facts: {} }), record(ada, { id: 'one', facts: {} })]);
  await record(ada, { id: 'two', facts: {} });
  assert.deepEqual(
    written.map(({ action, caller }) => [action, caller]),
    [
      ['identity.login', 'ada'],
      ['identity.login', 'ada'],
    ],
  );
});
