/** A refresh token that comes late takes the place of the one that it replaces, and of no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredRotation } from '../../broker/ports.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
  anActiveChannel,
  aReceivedGrant,
  aRecord,
  fill,
  minute,
} from '../support/store-fixtures.ts';

const rotation: StoredRotation = {
  channel: 'ch_1',
  generation: 1,
  formerTokenHash: 'hash-first',
  refreshTokenEncrypted: 'vault:v1:newer',
  refreshTokenHash: 'hash-newer',
  receivedAt: minute(20),
};
const aRotationRecord = () => aRecord('token.refresh', { channel: 'ch_1' });

test('a channel that was thought dead lives again with its newer token, due at once', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({ state: 'needs_reconsent', reason: 'grant_revoked_or_expired' }));
  await store.channels.rotateToken(rotation, aRotationRecord());
  const channel = await store.channels.find('ch_1');
  assert.deepEqual([channel?.state, channel?.reason], ['active', 'newer_token_stored']);
  assert.equal(channel?.grant?.refreshTokenEncrypted, 'vault:v1:newer');
  assert.deepEqual(channel?.grant?.refreshDueAt, minute(20));
});

test('a channel that a proof has ended takes its newer token and stays as it is', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({ state: 'needs_reconsent', reason: 'channel_drift' }));
  await store.channels.rotateToken(rotation, aRotationRecord());
  const channel = await store.channels.find('ch_1');
  assert.deepEqual([channel?.state, channel?.reason], ['needs_reconsent', 'channel_drift']);
  assert.equal(channel?.grant?.refreshTokenHash, 'hash-newer');
});

test('a blocked channel takes its newer token and stays blocked', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel({ state: 'blocked', reason: 'admin_policy_enforced' }));
  await store.channels.rotateToken(rotation, aRotationRecord());
  const channel = await store.channels.find('ch_1');
  assert.deepEqual([channel?.state, channel?.grant?.refreshTokenHash], ['blocked', 'hash-newer']);
});

test('storing it is safe to repeat with the same record', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const record = aRotationRecord();
  await store.channels.rotateToken(rotation, record);
  await store.channels.rotateToken(rotation, record);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
});

for (const [what, change] of [
  ['another token', { formerTokenHash: 'hash-other' }],
  ['another generation', { generation: 2 }],
] as const) {
  test(`it replaces nothing of ${what}, and leaves no record`, async (t) => {
    const { store } = await useStore(t);
    await fill(store, anActiveChannel());
    await assert.rejects(store.channels.rotateToken({ ...rotation, ...change }, aRotationRecord()), {
      code: 'STORE_CONFLICT',
    });
    assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
    assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add']);
  });
}

test('a consent whose checks are not finished goes on with the newer token', async (t) => {
  const { store } = await useStore(t);
  await fill(store, aChannel());
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  await store.consents.receive(aReceivedGrant(), aRecord('consent.receive'));
  await store.channels.rotateToken({ ...rotation, formerTokenHash: 'hash-received' }, aRotationRecord());
  const [unfinished] = await store.consents.unfinished(minute(60), 10);
  assert.equal(unfinished?.received.refreshTokenEncrypted, 'vault:v1:newer');
  assert.equal(unfinished?.received.refreshTokenHash, 'hash-newer');
});
