import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Channel } from '../../broker/domain/channel.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
  aFirstToken,
  aGrant,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  aRequest,
  fill,
  minute,
} from '../support/store-fixtures.ts';

const received = () => aRecord('consent.receive', { channel: 'ch_1' });
const completed = () => aRecord('consent.complete', { channel: 'ch_1' });
const conflict = { code: 'STORE_CONFLICT' };

/** A channel whose owner is at the point of having given a refresh token. */
async function useConsentOf(t: Parameters<typeof useStore>[0], channel: Channel) {
  const { store, database } = await useStore(t);
  await fill(store, channel);
  await store.consents.create(aConsent({ request: aRequest() }), aRecord('consent.invite'));
  return { store, database };
}

test('stores what was received and lets it be found until its checks are done', async (t) => {
  const { store } = await useConsentOf(t, aChannel());
  await store.consents.receive(aReceivedGrant(), received());
  assert.deepEqual(await store.consents.unfinished(minute(1), 10), []);
  assert.deepEqual(await store.consents.unfinished(minute(2), 10), [
    { consent: aConsent({ status: 'received', request: aRequest() }), received: aReceivedGrant() },
  ]);
  assert.deepEqual(await store.channels.find('ch_1'), aChannel());
});

test('lets nothing be found that cannot be finished now: those would take the places of the others', async (t) => {
  const { store } = await useConsentOf(t, anActiveChannel());
  await store.consents.receive(aReceivedGrant({ generation: 2 }), received());
  const found = async () => (await store.consents.unfinished(minute(9), 10)).length;
  const turn = (name: 'suspend' | 'resume') =>
    store.channels[name]({ id: 'ch_1', at: minute(3) }, aRecord(`channel.${name}`, { channel: 'ch_1' }));
  assert.equal(await found(), 1);
  await turn('suspend');
  assert.equal(await found(), 0);
  await turn('resume');
  assert.equal(await found(), 1);
  await store.oauthClients.change('uploads', { disabledAt: minute(4) }, aRecord('oauth-client.disable'));
  assert.equal(await found(), 0);
});

test('stores a received grant once when the write is repeated', async (t) => {
  const { store } = await useConsentOf(t, aChannel());
  const record = received();
  await store.consents.receive(aReceivedGrant(), record);
  await store.consents.receive(aReceivedGrant(), record);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.receive']);
});

test('keeps what was received when another request of the owner fails, begins or receives', async (t) => {
  const { store } = await useConsentOf(t, aChannel());
  await store.consents.receive(aReceivedGrant(), received());
  const other = aReceivedGrant({ refreshTokenHash: 'hash-other', refreshTokenEncrypted: 'vault:v1:other' });
  await assert.rejects(store.consents.fail('co_1', 'google_unavailable', minute(2), completed()), conflict);
  await assert.rejects(store.consents.begin('co_1', aRequest({ stateHash: 'state-2' }), completed()), conflict);
  await assert.rejects(store.consents.receive(other, received()), conflict);
  await assert.rejects(store.consents.reject(other, 'other_account', minute(2), completed()), conflict);
  const [held] = await store.consents.unfinished(minute(9), 10);
  assert.deepEqual(held?.received, aReceivedGrant());
});

test('activates a channel with the received grant, and leaves nothing of it on the consent', async (t) => {
  const { store, database } = await useConsentOf(t, aChannel());
  await store.consents.receive(aReceivedGrant(), received());
  await store.consents.activate(aReceivedGrant(), anIdentity, minute(2), aFirstToken(), completed());

  const grant = aGrant({
    generation: 1,
    refreshTokenEncrypted: 'vault:v1:received',
    refreshTokenHash: 'hash-received',
    dpopKeyVersion: 2,
    scopes: ['youtube.upload', 'youtube.readonly'],
    consentedAt: minute(2),
    accessTokenCacheKey: 'token:ch_1:1',
    tokenExpiresAt: minute(61),
    lastRefreshAt: minute(1),
    refreshDueAt: minute(31),
  });
  assert.deepEqual(
    await store.channels.find('ch_1'),
    aChannel({ state: 'active', reason: 'consented', updatedAt: minute(2), grant }),
  );
  assert.equal((await store.consents.findByLink('link-1'))?.status, 'completed');
  const [row] = await database.run((db) => db.selectFrom('consents').select('received_token_encrypted').execute());
  assert.equal(row?.received_token_encrypted, null);
  assert.deepEqual(await store.consents.unfinished(minute(9), 10), []);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.receive', 'consent.complete']);
});

test('activates once when two brokers finish the same consent', async (t) => {
  const { store } = await useConsentOf(t, aChannel());
  await store.consents.receive(aReceivedGrant(), received());
  const activate = () =>
    store.consents.activate(aReceivedGrant(), anIdentity, minute(2), aFirstToken(), completed()).then(
      () => 'activated',
      (error: { code: string }) => error.code,
    );
  assert.deepEqual((await Promise.all([activate(), activate()])).sort(), ['STORE_CONFLICT', 'activated']);
});

test('activates a channel that needed a new consent, with the next generation and no failures', async (t) => {
  const dead = anActiveChannel(
    { state: 'needs_reconsent', reason: 'grant_revoked_or_expired' },
    { refreshFailures: 4, lastFailure: 'grant_dead' },
  );
  const { store } = await useConsentOf(t, dead);
  const anew = aReceivedGrant({ generation: 2 });
  await store.consents.receive(anew, received());
  await store.consents.activate(anew, anIdentity, minute(2), aFirstToken(), completed());
  const channel = await store.channels.find('ch_1');
  assert.equal(channel?.state, 'active');
  assert.equal(channel.reason, 'consented');
  assert.equal(channel.grant?.generation, 2);
  assert.equal(channel.grant.refreshFailures, 0);
  assert.equal(channel.grant.lastFailure, undefined);
});

for (const [what, channel, grant, identity] of [
  ['of a generation that is not the next', anActiveChannel({}, { generation: 2 }), { generation: 2 }, {}],
  [
    'of another Google account than the pinned one',
    anActiveChannel(),
    { generation: 2 },
    { googleSubject: 'google-2' },
  ],
  [
    'of another YouTube channel than the pinned one',
    anActiveChannel(),
    { generation: 2 },
    { youtubeChannelId: 'UC-2' },
  ],
  [
    'for a channel that was suspended meanwhile',
    anActiveChannel({ state: 'suspended', reason: 'suspended_by_admin' }),
    { generation: 2 },
    {},
  ],
] as const) {
  test(`refuses a grant ${what}, and keeps it on the consent`, async (t) => {
    const { store } = await useConsentOf(t, channel);
    const given = aReceivedGrant(grant);
    await store.consents.receive(given, received());
    const activation = store.consents.activate(
      given,
      { ...anIdentity, ...identity },
      minute(2),
      aFirstToken(),
      completed(),
    );
    await assert.rejects(activation, conflict);
    assert.deepEqual(await store.channels.find('ch_1'), channel);
    assert.equal((await store.consents.newest('ch_1'))?.status, 'received');
    assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.receive']);
  });
}

test('deletes a received grant that did not pass, says why, and lets the owner begin again', async (t) => {
  const { store, database } = await useConsentOf(t, anActiveChannel());
  const given = aReceivedGrant({ generation: 2 });
  await store.consents.receive(given, received());
  await store.consents.reject(given, 'other_account', minute(2), completed());

  const consent = await store.consents.findByLink('link-1');
  assert.equal(consent?.status, 'pending');
  assert.equal(consent.failure, 'other_account');
  const [row] = await database.run((db) => db.selectFrom('consents').select('received_token_encrypted').execute());
  assert.equal(row?.received_token_encrypted, null);
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
  await store.consents.begin('co_1', aRequest({ stateHash: 'state-2' }), aRecord('consent.begin'));
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'consent.receive', 'consent.complete']);
});
