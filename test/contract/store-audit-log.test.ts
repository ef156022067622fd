import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { ownerUrl, superuserUrl } from '../support/postgres.ts';
import { useConnection, useStore } from '../support/store.ts';
import { aChannel, aRecord, fill, minute } from '../support/store-fixtures.ts';

test('gives records back as they were written, newest first', async (t) => {
  const { store } = await useStore(t);
  const first = aRecord('identity.verify', {
    at: minute(1),
    result: 'UNAUTHENTICATED',
    callerKind: 'anonymous',
    ip: undefined,
    tenant: undefined,
  });
  const facts = { scopes: ['openid', 'email'], generation: 2, rotated: true, fingerprint: 'abc' };
  const second = aRecord('token.release', { channel: 'ch_9', facts });
  await store.audit.append(first);
  await store.audit.append(second);
  assert.deepEqual(await store.audit.list({ limit: 10 }), [second, first]);
  assert.deepEqual(await store.audit.list({ limit: 1 }), [second]);
  assert.deepEqual(await store.audit.list({ tenant: 'acme', limit: 10 }), [second]);
  assert.deepEqual(await store.audit.list({ channel: 'ch_9', limit: 10 }), [second]);
  assert.deepEqual(await store.audit.list({ tenant: 'other', limit: 10 }), []);
});

test('records a refused act also where the caller sent what PostgreSQL cannot store', async (t) => {
  const { store } = await useStore(t);
  const sent = 'ch_\0\ud800';
  const record = aRecord('channel.show', { channel: sent, caller: sent, facts: { asked: sent, all: [sent] } });
  await store.audit.append(record);
  const kept = 'ch_\ufffd\ufffd';
  assert.deepEqual(await store.audit.list({ limit: 1 }), [
    { ...record, channel: kept, caller: kept, facts: { asked: kept, all: [kept] } },
  ]);
});

for (const [act, statement] of [
  ['changed', "update audit_log set caller = 'mallory'"],
  ['deleted', 'delete from audit_log'],
  ['cut off', 'truncate audit_log'],
  [
    'changed by a replication role',
    "set local session_replication_role = replica; update audit_log set caller = 'mallory'",
  ],
] as const) {
  test(`cannot be ${act}, even by a superuser`, async (t) => {
    const { store, url } = await useStore(t);
    const record = aRecord('token.release');
    await store.audit.append(record);
    await assert.rejects(
      useConnection(t, superuserUrl(url)).transaction((trx) => sql.raw(statement).execute(trx)),
      /sqlstate 42501/,
    );
    assert.deepEqual(await store.audit.list({ limit: 10 }), [record]);
  });
}

test('undoes a change whose record cannot be written', async (t) => {
  const { store, url } = await useStore(t);
  await fill(store);
  const owner = useConnection(t, ownerUrl(url));
  await owner.run((db) => sql`alter table audit_log rename to audit_log_away`.execute(db));
  await assert.rejects(store.channels.create(aChannel(), aRecord('channel.add')), { code: 'INTERNAL' });
  await assert.rejects(store.audit.append(aRecord('token.release')), { code: 'AUDIT_UNAVAILABLE' });
  assert.equal(await store.channels.find('ch_1'), undefined);
});
