import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Updateable } from 'kysely';
import { channelStates } from '../../broker/domain/channel.ts';
import type { ChannelsTable, ConsentsTable } from '../../broker/store/schema.ts';
import { useStore } from '../support/store.ts';
import { aChannel, aConsent, anActiveChannel, aRecord, aRequest, fill, minute } from '../support/store-fixtures.ts';

const violated = (constraint: string) => new RegExp(`sqlstate 23514 .*${constraint}$`);

test('holds a channel to its rules in the database', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const change = (values: Updateable<ChannelsTable>) =>
    database.run((db) => db.updateTable('channels').set(values).execute());

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
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
});

test('knows every state of a channel that the broker knows', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  for (const state of channelStates) {
    await database.run((db) => db.updateTable('channels').set({ state }).execute());
  }
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
  ] as const) {
    await assert.rejects(change(values), violated(constraint), constraint);
  }
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
