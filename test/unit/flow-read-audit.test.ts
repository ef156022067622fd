import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEntry } from '../../broker/domain/audit-entry.ts';
import type { AuditAction, AuditRecord } from '../../broker/domain/audit-record.ts';
import type { Person } from '../../broker/domain/caller.ts';
import { createAuthorize } from '../../broker/flow/authorize.ts';
import { createReadAudit } from '../../broker/flow/read-audit.ts';
import type { AuditPage, Store } from '../../broker/ports.ts';
import { aRecord, start } from '../support/store-fixtures.ts';

const minute = 60_000;
const span = 5;
const auditor: Person = {
  kind: 'person',
  subject: 'max',
  displayName: undefined,
  groups: ['auditors'],
  ip: undefined,
  requestId: 'req',
};

/** A chain in memory that gets a record when the test says so. */
function rig() {
  const entries: AuditEntry[] = [];
  const looks: AuditRecord[] = [];
  const sleeps: (() => void)[] = [];
  const clock = { at: 0, now: () => new Date(start.getTime() + clock.at) };
  const store = {
    tenants: { find: async (name: string) => ({ name, admins: [], createdAt: start, state: 'active' }) },
    audit: { append: async (record: AuditRecord) => void looks.push(record) },
    auditReader: {
      // Looks through so many places at most, as the store does.
      page: async ({ from: { after = 0 } }: { from: { after?: number } }): Promise<AuditPage> => {
        const upTo = Math.min(entries.length, after + span);
        const found = entries.filter(
          ({ seq, record }) => seq > after && seq <= upTo && record.action !== 'token.release',
        );
        return { entries: found, next: upTo, head: entries.length };
      },
    },
  } as unknown as Store;
  const audit = createReadAudit({
    authorize: createAuthorize({ store, clock, operatorsGroup: 'operators', auditorsGroup: 'auditors' }),
    store,
    clock,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        sleeps.push(resolve);
        signal.addEventListener('abort', () => resolve());
      }),
    exportAudit: () => assert.fail('nothing is exported'),
  });
  const add = (action: AuditAction = 'channel.show') =>
    entries.push({ chain: 'acme', seq: entries.length + 1, hash: '', record: aRecord(action) });
  return { audit, clock, looks, sleeps, add };
}

const look = { chain: 'acme', filter: {}, limit: 10 };
const list = { ...look, before: undefined };
const none = new AbortController().signal;

async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise(setImmediate);
}

test('every first page is on record, and going on with it once in ten minutes', async () => {
  const { audit, clock, looks } = rig();
  await audit.list(auditor, list);
  await audit.list(auditor, list);
  assert.equal(looks.length, 2);
  await audit.list(auditor, { ...list, before: 500 });
  assert.equal(looks.length, 2);
  clock.at = 10 * minute;
  await audit.list(auditor, { ...list, before: 400 });
  assert.equal(looks.length, 3);
});

test('a page of something else than was looked at before is another look', async () => {
  const { audit, looks } = rig();
  await audit.list(auditor, { ...list, filter: { channel: 'ch_1' } });
  await audit.list(auditor, { ...list, before: 9_999 });
  await audit.list(auditor, { ...list, chain: 'other', before: 9_999 });
  await audit.list({ ...auditor, subject: 'eve' }, { ...list, before: 9_999 });
  assert.deepEqual(
    looks.map(({ caller, tenant, facts }) => [caller, tenant, facts]),
    [
      ['max', 'acme', { channel: 'ch_1' }],
      ['max', 'acme', {}],
      ['max', 'other', {}],
      ['eve', 'acme', {}],
    ],
  );
});

test('whoever follows waits for news, and is answered with them', async () => {
  const { audit, looks, sleeps, add } = rig();
  add();
  const answer = audit.follow(auditor, { ...look, after: 1, waitMs: 20_000, signal: none });
  await until(() => sleeps.length === 1);
  add();
  sleeps[0]?.();
  assert.deepEqual(
    (await answer).entries.map(({ seq }) => seq),
    [2],
  );
  await audit.follow(auditor, { ...look, after: 0, waitMs: 0, signal: none });
  assert.equal(looks.length, 1, 'following does not feed itself');
});

test('goes through what the filter leaves out without waiting, however much it is', async () => {
  const { audit, sleeps, add } = rig();
  for (let n = 0; n < 13; n += 1) add('token.release');
  add();
  const answer = await audit.follow(auditor, { ...look, after: 0, waitMs: 20_000, signal: none });
  assert.deepEqual([answer.entries.map(({ seq }) => seq), sleeps.length], [[14], 0]);
});

test('waits no longer than was asked for, and answers an empty page', async () => {
  const { audit, sleeps } = rig();
  const answer = audit.follow(auditor, { ...look, after: 0, waitMs: 1_000, signal: none });
  for (let n = 0; n < 2; n += 1) {
    await until(() => sleeps.length === n + 1);
    sleeps[n]?.();
  }
  assert.deepEqual((await answer).entries, []);
  assert.equal(sleeps.length, 2);
});

for (const [who, leave] of [
  ['the broker stops', ({ audit }: ReturnType<typeof rig>) => audit.stop()],
  ['the caller leaves', (_rig: ReturnType<typeof rig>, caller: AbortController) => caller.abort()],
] as const) {
  test(`nobody is waited for any more when ${who}`, async () => {
    const made = rig();
    const caller = new AbortController();
    const answer = made.audit.follow(auditor, { ...look, after: 0, waitMs: 3_600_000, signal: caller.signal });
    await until(() => made.sleeps.length === 1);
    leave(made, caller);
    assert.deepEqual((await answer).entries, []);
    assert.equal(made.sleeps.length, 1);
  });
}
