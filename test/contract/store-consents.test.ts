import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
  aReceivedGrant,
  aRecord,
  aRequest,
  fill,
  minute,
} from '../support/store-fixtures.ts';

const invited = () => aRecord('consent.invite', { channel: 'ch_1' });
const begun = () => aRecord('consent.begin', { channel: 'ch_1' });
const ended = () => aRecord('consent.complete', { channel: 'ch_1' });

async function useConsent(t: Parameters<typeof useStore>[0]) {
  const { store, database } = await useStore(t);
  await fill(store, aChannel());
  await store.consents.create(aConsent(), invited());
  return { store, database };
}

test('finds a consent by its link, and by its state once the owner has begun', async (t) => {
  const { store } = await useConsent(t);
  assert.deepEqual(await store.consents.findByLink('link-1'), aConsent());
  assert.equal(await store.consents.findByState('state-1'), undefined);
  await store.consents.begin('co_1', aRequest(), begun());
  assert.deepEqual(await store.consents.findByState('state-1'), aConsent({ request: aRequest() }));
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.invite', 'consent.begin']);
});

test('takes a state for one of fifty calls at the same time, and deletes the verifier', async (t) => {
  const { store, database } = await useConsent(t);
  await store.consents.begin('co_1', aRequest(), begun());
  const takings = await Promise.all(
    Array.from({ length: 50 }, () => store.consents.takeState('state-1', 'browser-1', minute(1))),
  );
  assert.equal(takings.filter((taken) => taken).length, 1);
  const rows = await database.run((db) => db.selectFrom('consents').select('code_verifier_encrypted').execute());
  assert.deepEqual(rows, [{ code_verifier_encrypted: null }]);
  assert.deepEqual((await store.consents.findByState('state-1'))?.request?.takenAt, minute(1));
});

test('does not take a state from another browser, and leaves it to the right one', async (t) => {
  const { store } = await useConsent(t);
  await store.consents.begin('co_1', aRequest(), begun());
  assert.equal(await store.consents.takeState('state-1', 'browser-2', minute(1)), false);
  assert.equal(await store.consents.takeState('state-1', 'browser-1', minute(1)), true);
});

test('does not take an unknown or an expired state', async (t) => {
  const { store } = await useConsent(t);
  await store.consents.begin('co_1', aRequest(), begun());
  assert.equal(await store.consents.takeState('state-0', 'browser-1', minute(1)), false);
  assert.equal(await store.consents.takeState('state-1', 'browser-1', minute(10)), false);
});

test('makes an earlier request void when the owner begins again', async (t) => {
  const { store } = await useConsent(t);
  await store.consents.begin('co_1', aRequest(), begun());
  await store.consents.fail('co_1', 'denied', minute(2), ended());
  await store.consents.begin('co_1', aRequest({ stateHash: 'state-2', browserHash: 'browser-2' }), begun());
  assert.equal((await store.consents.findByLink('link-1'))?.failure, undefined);
  assert.equal(await store.consents.takeState('state-1', 'browser-1', minute(3)), false);
  assert.equal(await store.consents.takeState('state-2', 'browser-2', minute(3)), true);
});

test('records how a request failed and stays pending', async (t) => {
  const { store } = await useConsent(t);
  await store.consents.begin('co_1', aRequest(), begun());
  await store.consents.fail('co_1', 'denied', minute(2), ended());
  const consent = await store.consents.findByLink('link-1');
  assert.equal(consent?.status, 'pending');
  assert.equal(consent.failure, 'denied');
  assert.deepEqual(await store.channels.find('ch_1'), aChannel());
});

test('completes without a new refresh token, once, and can then no longer begin', async (t) => {
  const { store } = await useConsent(t);
  await store.consents.completeWithoutToken('co_1', minute(2), ended());
  assert.equal((await store.consents.findByLink('link-1'))?.status, 'completed');
  const conflict = { code: 'STORE_CONFLICT' };
  await assert.rejects(store.consents.completeWithoutToken('co_1', minute(2), ended()), conflict);
  await assert.rejects(store.consents.begin('co_1', aRequest(), begun()), conflict);
  await assert.rejects(store.consents.fail('co_1', 'denied', minute(3), ended()), conflict);
  await assert.rejects(store.consents.receive(aReceivedGrant(), aRecord('consent.receive')), conflict);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.invite', 'consent.complete']);
});

test('refuses a consent for a channel of another tenant', async (t) => {
  const { store } = await useConsent(t);
  await store.tenants.create({ name: 'other', admins: [], createdAt: minute(0) }, aRecord('tenant.create'));
  const consent = aConsent({ id: 'co_2', linkHash: 'link-2', tenant: 'other' });
  await assert.rejects(store.consents.create(consent, invited()), { code: 'CHANNEL_NOT_FOUND' });
});
