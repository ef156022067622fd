import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import type { TenantState } from '../../broker/domain/shred.ts';
import { BrokerError } from '../../broker/errors.ts';
import { createStoreSpooledTokens } from '../../broker/flow/store-spooled-tokens.ts';
import type { Store, TenantKeys } from '../../broker/ports.ts';
import { aChannel, start } from '../support/store-fixtures.ts';

/** A spool with one token that does not open, of a tenant in this state. */
async function passOf(state: TenantState) {
  let waits = true;
  const records: AuditRecord[] = [];
  const faults: unknown[] = [];
  const entry = {
    channel: 'ch_1',
    open: async () => {
      throw new BrokerError('INTERNAL', { detail: 'it does not open' });
    },
    remove: async () => {
      waits = false;
    },
    leave: () => {},
  };
  const store = {
    channels: { find: async () => aChannel() },
    tenants: { find: async (name: string) => ({ name, admins: [], createdAt: start, state }) },
    audit: { append: async (record: AuditRecord) => void records.push(record) },
  };
  const storeSpooledTokens = createStoreSpooledTokens({
    store: store as unknown as Store,
    keys: {} as TenantKeys,
    spool: { waiting: () => (waits ? [entry] : []), prepare: () => assert.fail('nothing is received') },
    clock: { now: () => start },
    onFault: (fault) => void faults.push(fault),
  });
  const { waiting } = await storeSpooledTokens({ kind: 'scheduler', requestId: 'pass' });
  return { waiting, records, faults };
}

test('drops a token whose tenant was shredded, on record: nothing can open it any more', async () => {
  const { waiting, records, faults } = await passOf('shredded');
  assert.deepEqual([waiting, faults], [0, []]);
  assert.deepEqual(
    records.map(({ result, tenant, channel }) => [result, tenant, channel]),
    [['TENANT_SHREDDED', 'acme', 'ch_1']],
  );
});

for (const state of ['active', 'shredding'] as const) {
  test(`keeps a token that does not open while its tenant is ${state}, and tells`, async () => {
    const { waiting, records, faults } = await passOf(state);
    assert.deepEqual([waiting, records.length, faults.length], [1, 0, 1]);
  });
}
