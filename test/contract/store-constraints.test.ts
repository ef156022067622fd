import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Insertable, sql, type Updateable } from 'kysely';
import { channelStates, nextStates } from '../../broker/domain/channel.ts';
import { toChannelRow } from '../../broker/store/channel-row.ts';
import type { ChannelsTable, ConsentsTable } from '../../broker/store/schema.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  anActiveChannel,
  aRecord,
  aRequest,
  fill,
  lease,
  minute,
} from '../support/store-fixtures.ts';

const violated = (constraint: string) => new RegExp(`sqlstate 23514 .*${constraint}$`);

test('holds a channel to its rules in the database', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const row = toChannelRow(anActiveChannel({ id: 'ch_2', name: 'two' }));
  const change = (values: Partial<Insertable<ChannelsTable>>) =>
    database.run((db) =>
      db
        .insertInto('channels')
        .values({ ...row, ...values })
        .execute(),
    );

  for (const [constraint, values] of [
    ['state_is_known', { state: 'asleep' as 'active' }],
    ['generation_counts_up', { generation: -1 }],
    ['refresh_token_is_ciphertext', { refresh_token_encrypted: '1//in-clear' }],
    ['refresh_token_is_ciphertext', { refresh_token_encrypted: '' }],
    ['grant_is_whole', { scopes: null }],
    ['identity_is_whole', { youtube_title: null }],
    ['grant_is_pinned', { google_subject: null, youtube_channel_id: null, youtube_title: null }],
    ['grant_is_pinned', { generation: 0 }],
    ['active_has_grant', { refresh_token_encrypted: null, refresh_token_hash: null, scopes: null, consented_at: null }],
  ] as const) {
    await assert.rejects(change(values), violated(constraint), constraint);
  }
  await change({});
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
});

test('knows every state of a channel that the broker knows, and no step between two that the broker does not', async (t) => {
  const { store, database } = await useStore(t);
  const pairs = channelStates.flatMap((from) => channelStates.map((to) => ({ from, to, id: `${from}-${to}` })));
  await fill(store, ...pairs.map(({ from, id }) => anActiveChannel({ id, name: id, state: from })));
  for (const { from, to, id } of pairs) {
    const step = database.run((db) => db.updateTable('channels').set({ state: to }).where('id', '=', id).execute());
    if (from === to || nextStates[from].includes(to)) await step;
    else await assert.rejects(step, violated('channels_state_follows'), id);
    assert.equal((await store.channels.find(id))?.state, nextStates[from].includes(to) ? to : from);
  }
});

test('lets no generation and no fence fall, and nothing become another channel', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel({}, { generation: 3 }));
  await store.tenants.create(
    { name: 'other', admins: [], createdAt: minute(0) },
    aRecord('tenant.create', { tenant: 'other' }),
  );
  await store.channels.claim('ch_1', lease(30, 31));
  for (const [constraint, values] of [
    ['generation_never_falls', { generation: 2 }],
    ['fence_never_falls', { claim_fence: 0 }],
    ['row_stays', { id: 'ch_2' }],
    ['row_stays', { tenant: 'other' }],
    ['row_stays', { created_at: minute(9) }],
    ['identity_stays', { google_subject: 'google-2' }],
    ['identity_stays', { youtube_channel_id: 'UC-2' }],
    ['scrubbed_is_empty', { scrubbed_at: minute(9) }],
    ['refresh_token_is_ciphertext', { refresh_token_encrypted: 'vault:v1:' }],
    ['refresh_token_is_ciphertext', { refresh_token_encrypted: 'vault:vault:x' }],
  ] as const) {
    const change = database.run((db) => db.updateTable('channels').set(values).execute());
    await assert.rejects(change, violated(constraint), constraint);
  }
  const { rows } = await database.run((db) => sql`select generation, claim_fence from channels`.execute(db));
  assert.deepEqual(rows, [{ generation: 3, claim_fence: 1 }]);
});

test('takes for a refresh token only a whole ciphertext, and knows the key version that it needs', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const write = (refresh_token_encrypted: string) =>
    database.run((db) => db.updateTable('channels').set({ refresh_token_encrypted }).execute());
  for (const broken of [
    ...[
      '1//in:v1:clear',
      'vault:1:x',
      'vault:v:x',
      'vault:v1',
      'vault:v1:',
      'xvault:v1:x',
      'Vault:v1:x',
      'vault::v1:x',
    ],
    ...[
      'vault:v0:x',
      'vault:v01:x',
      'vault:v+1:x',
      'vault:v-1:x',
      'vault:v 1:x',
      'vault:v1_0:x',
      'vault:vv1:x',
      'vault:v1x:x',
    ],
    ...['vault:v1:x y', 'vault:v1: x', 'vault:v1:x\n', 'vault:v1:\tx', 'vault:v1:x\r', 'vault:v1:x\f', 'vault:v1:x\v'],
  ]) {
    await assert.rejects(write(broken), violated('refresh_token_is_ciphertext'), JSON.stringify(broken));
  }
  for (const [ciphertext, version] of [
    ['vault:v1:x', 1],
    ['vault:v120:a:b=', 120],
    [`vault:v2147483647:${'A'.repeat(2_000)}`, 2_147_483_647],
  ] as const) {
    await write(ciphertext);
    assert.deepEqual(await store.ciphertexts.countByKeyVersion('acme'), [{ version, rows: 1 }]);
  }
});

test('keeps a workload out of a channel of another tenant', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  await store.tenants.create(
    { name: 'other', admins: [], createdAt: minute(0) },
    aRecord('tenant.create', { tenant: 'other' }),
  );
  const access = { spiffeId: 'spiffe://example.org/w', channel: 'ch_1', tenant: 'other', reason: '', createdBy: 'a' };
  const allowing = store.workloadAccess.allow({ ...access, createdAt: minute(0) }, aRecord('workload.allow'));
  await assert.rejects(allowing, { code: 'CHANNEL_NOT_FOUND' });
});

test('gives the name of a revoked channel free, and that of no other', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const again = () => store.channels.create(aChannel({ id: 'ch_2' }), aRecord('channel.add', { channel: 'ch_2' }));
  await assert.rejects(again(), { code: 'ALREADY_EXISTS' });
  await database.run((db) => db.updateTable('channels').set({ state: 'revoked' }).execute());
  await again();
  assert.equal((await store.channels.find('ch_2'))?.state, 'pending_consent');
});

test('holds a consent to its rules in the database', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, aChannel());
  await store.consents.create(aConsent({ request: aRequest() }), aRecord('consent.invite'));
  const change = (values: Updateable<ConsentsTable>) =>
    database.run((db) => db.updateTable('consents').set(values).execute());

  for (const [constraint, values] of [
    ['status_is_known', { status: 'lost' as 'pending' }],
    ['completed_has_time', { status: 'completed' }],
    ['failure_has_time', { failure: 'denied' }],
    ['request_is_whole', { nonce: null }],
    ['verifier_is_ciphertext', { code_verifier_encrypted: 'in-clear' }],
    ['verifier_is_used_once', { taken_at: minute(1) }],
    [
      'received_token_is_ciphertext',
      {
        status: 'received',
        received_generation: 1,
        received_token_encrypted: '1//in-clear',
        received_token_hash: 'hash',
        received_scopes: [],
        received_at: minute(1),
      },
    ],
    ['received_is_whole', { status: 'received' }],
    ['received_is_whole', { received_token_encrypted: 'vault:v1:left-over' }],
    ['row_stays', { id: 'co_2' }],
    ['row_stays', { channel: 'ch_2' }],
  ] as const) {
    await assert.rejects(change(values), violated(constraint), constraint);
  }
  await store.consents.completeWithoutToken('co_1', minute(1), aRecord('consent.complete'));
  await assert.rejects(change({ status: 'pending', completed_at: null }), violated('completed_stays'));
});

test('takes no workload without a SPIFFE ID', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  const access = { channel: 'ch_1', tenant: 'acme', reason: '', createdBy: 'alice', createdAt: minute(0) };
  for (const spiffeId of ['', 'uploader', 'spiffe://example.org']) {
    const allowing = store.workloadAccess.allow({ ...access, spiffeId }, aRecord('workload.allow'));
    await assert.rejects(allowing, violated('spiffe_id_is_one'));
  }
});

test('shows no value of a row in an error', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  const { stack, ...error } = await store.channels.create(aChannel({ id: 'ch_2' }), aRecord('channel.add')).then(
    () => assert.fail('a taken name was accepted'),
    (thrown: Error) => ({ ...thrown, message: thrown.message, cause: thrown.cause }),
  );
  const shown = JSON.stringify([error, String(error.cause), Object.getOwnPropertyNames(error.cause), stack]);
  assert.match(shown, /channels_name_is_unique/);
  assert.doesNotMatch(shown, /cooking/);
});
