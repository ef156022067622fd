import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RefreshClaim, Store } from '../../broker/ports.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
  aFirstToken,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  aRefresh,
  fill,
  lease,
  minute,
  queueAt,
} from '../support/store-fixtures.ts';

const upTo = (limit: number) => ({ limit, mostPerClient: limit, taken: new Map() });

const refreshRecord = () => aRecord('token.refresh', { channel: 'ch_1', callerKind: 'scheduler', caller: 'scheduler' });

async function claimOf(store: Store, id: string, from: number, until: number): Promise<RefreshClaim> {
  const claim = await store.channels.claim(id, lease(from, until));
  assert.ok(claim, `channel ${id} was not free at minute ${from}`);
  return claim;
}

test('gives one of two claims at the same time', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = () => store.channels.claim('ch_1', lease(0, 2));
  const claims = await Promise.all([claim(), claim(), claim(), claim()]);
  assert.equal(claims.filter((given) => given !== undefined).length, 1);
});

test('gives a claim again when it has lapsed, with a higher fence', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const first = await claimOf(store, 'ch_1', 0, 2);
  assert.equal(await store.channels.claim('ch_1', lease(1, 3)), undefined);
  const second = await claimOf(store, 'ch_1', 2, 4);
  assert.ok(second.fence > first.fence);
  assert.deepEqual(second.channel, anActiveChannel());
});

test('claims no channel that is not active', async (t) => {
  const { store } = await useStore(t);
  await fill(
    store,
    aChannel(),
    anActiveChannel({ id: 'ch_2', name: 'two', state: 'suspended', reason: 'suspended_by_admin' }),
  );
  assert.equal(await store.channels.claim('ch_1', lease(0, 2)), undefined);
  assert.equal(await store.channels.claim('ch_2', lease(0, 2)), undefined);
  assert.deepEqual(await store.channels.claimDue(queueAt(999), lease(999, 1000), upTo(10)), []);
  assert.equal(await store.channels.nextDue(queueAt(0)), undefined);
});

test('claims what is due, the longest due first, up to the limit', async (t) => {
  const { store } = await useStore(t);
  const due = [30, 10, 20, 40].map((minutes) =>
    anActiveChannel({ id: `ch_${minutes}`, name: `due-${minutes}` }, { refreshDueAt: minute(minutes) }),
  );
  await fill(store, ...due);
  const ids = async (now: number, limit: number) =>
    (await store.channels.claimDue(queueAt(now), lease(now, now + 5), upTo(limit))).map(({ channel }) => channel.id);
  assert.deepEqual(await ids(30, 2), ['ch_10', 'ch_20']);
  assert.deepEqual(await ids(30, 2), ['ch_30']);
  assert.deepEqual(await ids(30, 2), []);
});

test('shares the due channels among brokers, each to one', async (t) => {
  const { store } = await useStore(t);
  const channels = Array.from({ length: 30 }, (_, index) => anActiveChannel({ id: `ch_${index}`, name: `n${index}` }));
  await fill(store, ...channels);
  const batches = await Promise.all(
    Array.from({ length: 8 }, () => store.channels.claimDue(queueAt(30), lease(30, 32), upTo(5))),
  );
  const rest = await store.channels.claimDue(queueAt(30), lease(30, 32), upTo(30));
  const claimed = [...batches.flat(), ...rest].map(({ channel }) => channel.id);
  assert.equal(new Set(claimed).size, 30);
  assert.equal(claimed.length, 30);
});

test('passes over a channel that another broker has locked, without waiting for it', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  await database.transaction(async (trx) => {
    await trx.selectFrom('channels').select('id').where('id', '=', 'ch_1').forUpdate().execute();
    assert.equal(await store.channels.claim('ch_1', lease(30, 32)), undefined);
    const claims = await store.channels.claimDue(queueAt(30), lease(30, 32), upTo(10));
    assert.deepEqual(
      claims.map(({ channel }) => channel.id),
      ['ch_2'],
    );
  });
});

test('tells when the next channel is due, and of a claimed one when its claim ends', async (t) => {
  const { store } = await useStore(t);
  const later = anActiveChannel({ id: 'ch_2', name: 'later' }, { refreshDueAt: minute(14) });
  await fill(store, anActiveChannel({}, { refreshDueAt: minute(10) }), later);
  assert.deepEqual(await store.channels.nextDue(queueAt(0)), minute(10));
  await claimOf(store, 'ch_1', 10, 12);
  assert.deepEqual(await store.channels.nextDue(queueAt(10)), minute(12));
  await claimOf(store, 'ch_1', 12, 20);
  assert.deepEqual(await store.channels.nextDue(queueAt(12)), minute(14));
});

test('writes a refresh and its record, ends the claim and forgets the failures', async (t) => {
  const { store } = await useStore(t);
  const failing = anActiveChannel({}, { refreshFailures: 3, lastFailure: 'unavailable' });
  await fill(store, failing);
  const claim = await claimOf(store, 'ch_1', 30, 32);
  await store.channels.refreshed(claim, aRefresh(), refreshRecord());

  assert.deepEqual((await store.channels.find('ch_1'))?.grant, {
    ...claim.grant,
    accessTokenCacheKey: 'token:ch_1:1',
    tokenExpiresAt: minute(90),
    lastRefreshAt: minute(30),
    refreshDueAt: minute(60),
    refreshFailures: 0,
    lastFailure: undefined,
  });
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
  assert.ok(await store.channels.claim('ch_1', lease(31, 33)));
});

test('replaces the refresh token where a rotated one came, and only then', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const rotated = { refreshTokenEncrypted: 'vault:v2:rotated', refreshTokenHash: 'hash-rotated' };
  await store.channels.refreshed(await claimOf(store, 'ch_1', 30, 32), aRefresh({ rotated }), refreshRecord());
  await store.channels.refreshed(await claimOf(store, 'ch_1', 60, 62), aRefresh(), refreshRecord());
  const grant = (await store.channels.find('ch_1'))?.grant;
  assert.equal(grant?.refreshTokenEncrypted, 'vault:v2:rotated');
  assert.equal(grant.refreshTokenHash, 'hash-rotated');
  assert.equal(grant.generation, 1);
});

test('never replaces a refresh token by an empty one', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const rotated = { refreshTokenEncrypted: '', refreshTokenHash: '' };
  await assert.rejects(store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord()), { code: 'INTERNAL' });
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add']);
});

test('refuses a refresh whose claim was given to another, and records nothing of it', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const slow = await claimOf(store, 'ch_1', 30, 32);
  const quick = await claimOf(store, 'ch_1', 32, 34);
  const late = { className: 'unavailable', retryAt: minute(40) };
  await assert.rejects(store.channels.refreshed(slow, aRefresh(), refreshRecord()), { code: 'STORE_CONFLICT' });
  await assert.rejects(store.channels.refreshFailed(slow, late, refreshRecord()), { code: 'STORE_CONFLICT' });
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
  await store.channels.refreshed(quick, aRefresh(), refreshRecord());
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
});

test('refuses a refresh that was under way when the owner consented anew', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const received = aReceivedGrant({ generation: 2, refreshTokenEncrypted: 'vault:v1:anew' });
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.consents.activate(received, anIdentity, minute(31), aFirstToken(), aRecord('consent.complete'));

  const rotated = { refreshTokenEncrypted: 'vault:v1:rotated-old', refreshTokenHash: 'hash-old' };
  await assert.rejects(store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord()), {
    code: 'STORE_CONFLICT',
  });
  const grant = (await store.channels.find('ch_1'))?.grant;
  assert.equal(grant?.generation, 2);
  assert.equal(grant.refreshTokenEncrypted, 'vault:v1:anew');
  assert.ok(await store.channels.claim('ch_1', lease(31, 33)), 'the new grant can be refreshed at once');
});

test('keeps a rotated refresh token of a channel that was suspended meanwhile', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const change = { id: 'ch_1', from: 'active', to: 'suspended', reason: 'suspended_by_admin' } as const;
  await store.channels.changeState({ ...change, generation: 1, at: minute(31) }, aRecord('channel.state'));
  const rotated = { refreshTokenEncrypted: 'vault:v1:rotated', refreshTokenHash: 'hash-rotated' };
  await store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord());
  const channel = await store.channels.find('ch_1');
  assert.equal(channel?.state, 'suspended');
  assert.equal(channel.grant?.refreshTokenEncrypted, 'vault:v1:rotated');
});

test('counts failures, ends the claim and sets the next try, without a change of state', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  for (const [failures, from] of [
    [1, 30],
    [2, 40],
  ] as const) {
    const claim = await claimOf(store, 'ch_1', from, from + 2);
    const failure = { className: 'rate_limited', retryAt: minute(from + 10) };
    await store.channels.refreshFailed(claim, failure, refreshRecord());
    const channel = await store.channels.find('ch_1');
    assert.equal(channel?.state, 'active');
    assert.equal(channel.grant?.refreshFailures, failures);
    assert.equal(channel.grant.lastFailure, 'rate_limited');
    assert.deepEqual(await store.channels.nextDue(queueAt(from)), minute(from + 10));
  }
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh', 'token.refresh']);
});
