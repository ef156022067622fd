/** What of a revocation has to be true whoever asks, how often, and in which order: held by the store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StateReason } from '../../broker/domain/channel.ts';
import { planDigest, type RevocationOutcome } from '../../broker/domain/revocation.ts';
import type { RevocationClaim, Store } from '../../broker/ports.ts';
import type { Scope } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { aChannel, anActiveChannel, aRecord, fill, lease, minute } from '../support/store-fixtures.ts';

/** `ch_1` and, of the same identity, `ch_2`. */
async function useTwo(scope: Scope): Promise<Store> {
  const { store } = await useStore(scope);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  return store;
}

async function begin(store: Store, channel: string, at = minute(1), linkHash?: string): Promise<void> {
  const siblings = await store.revocations.siblings(channel);
  const found = await store.channels.find(channel);
  const state = found?.state ?? 'revoked';
  const digest = planDigest({ channel, state, generation: found?.grant?.generation ?? 0, siblings });
  const reason = 'revoked_by_admin' satisfies StateReason;
  const record = aRecord('channel.revoke-request', { channel });
  await store.revocations.begin({ channel, digest, reason, linkHash, at }, record);
}

async function claimed(store: Store, at: Date): Promise<RevocationClaim> {
  const [claim] = await store.revocations.claim(at, new Date(at.getTime() + 60_000), 8);
  assert.ok(claim, 'nothing was claimed');
  return claim;
}

function report(
  store: Store,
  claim: RevocationClaim,
  at: Date,
  outcome?: RevocationOutcome,
  dueAt = at,
): Promise<void> {
  return store.revocations.tried(
    claim,
    { outcome, at, dueAt },
    aRecord('channel.revoke', { channel: claim.channel.id }),
  );
}

test('an attempt whose claim has lapsed reports to nobody once another has begun', async (t) => {
  const store = await useTwo(t);
  await begin(store, 'ch_1');
  const slow = await claimed(store, minute(1));
  assert.deepEqual(await store.revocations.claim(minute(1), minute(2), 8), []);
  const next = await claimed(store, minute(2));
  assert.deepEqual([slow.attempt, next.attempt], [1, 2]);
  await assert.rejects(report(store, slow, minute(2), 'already_invalid'), { code: 'STORE_CONFLICT' });
  await report(store, next, minute(2), 'revoked');
  await assert.rejects(report(store, next, minute(2), 'already_invalid'), { code: 'STORE_CONFLICT' });
  assert.equal((await store.revocations.find('ch_1'))?.outcome, 'revoked');
});

test('two that claim at the same time share nothing', async (t) => {
  const store = await useTwo(t);
  await begin(store, 'ch_1');
  await begin(store, 'ch_2');
  const claims = await Promise.all([1, 2, 3].map(() => store.revocations.claim(minute(2), minute(3), 1)));
  const ids = claims.flat().map(({ channel }) => channel.id);
  assert.deepEqual(ids.toSorted(), ['ch_1', 'ch_2']);
});

test('a newer refresh token begins the revocation anew, and the attempt with the former one counts no more', async (t) => {
  const store = await useTwo(t);
  await begin(store, 'ch_1');
  const former = await claimed(store, minute(1));
  const rotate = (from: string, to: string, at: Date) =>
    store.channels.rotateToken(
      {
        channel: 'ch_1',
        generation: 1,
        formerTokenHash: from,
        refreshTokenEncrypted: `vault:v1:${to}`,
        refreshTokenHash: to,
        receivedAt: at,
      },
      aRecord('token.refresh', { channel: 'ch_1' }),
    );
  await rotate('hash-first', 'hash-second', minute(1));
  await assert.rejects(report(store, former, minute(1), 'already_invalid'), { code: 'STORE_CONFLICT' });
  const second = await claimed(store, minute(1));
  assert.equal(second.channel.grant?.refreshTokenEncrypted, 'vault:v1:hash-second');
  await report(store, second, minute(1), 'already_invalid');
  await rotate('hash-second', 'hash-third', minute(3));
  assert.equal((await store.revocations.find('ch_1'))?.outcome, undefined);
  assert.equal((await claimed(store, minute(3))).channel.grant?.refreshTokenHash, 'hash-third');
  assert.equal((await store.channels.find('ch_1'))?.state, 'revoked');
});

test('siblings become due at the answer and again for an hour, and nobody else does', async (t) => {
  const store = await useTwo(t);
  await store.channels.create(aChannel({ id: 'ch_3', name: 'three' }), aRecord('channel.add', { channel: 'ch_3' }));
  await begin(store, 'ch_1', minute(10));
  assert.equal(await store.revocations.proveSiblings(minute(10)), 0);
  await report(store, await claimed(store, minute(10)), minute(10), 'revoked');
  const proven: number[] = [];
  for (let at = 10; at <= 120; at += 1) {
    const claim = await store.channels.claim('ch_2', lease(at, at));
    assert.ok(claim);
    const success = {
      accessTokenCacheKey: 'key',
      tokenExpiresAt: minute(at + 60),
      refreshedAt: minute(at),
      refreshDueAt: minute(at + 30),
      rotated: undefined,
    };
    await store.channels.refreshed(claim, success, aRecord('token.refresh', { channel: 'ch_2' }));
    if ((await store.revocations.proveSiblings(minute(at))) > 0) proven.push(at);
  }
  assert.deepEqual(proven, [10, 11, 15, 25, 70]);
  assert.equal(await store.revocations.nextDue(), undefined);
});

test('the death of a sibling is put down to a revocation that may have ended it, for as long as that is asked for', async (t) => {
  const store = await useTwo(t);
  const reached = (since: Date) => store.revocations.reached('ch_2', since);
  assert.equal(await reached(minute(0)), false);
  await begin(store, 'ch_1');
  assert.equal(await reached(minute(0)), false, 'nothing was sent yet');
  const first = await claimed(store, minute(1));
  assert.equal(await reached(minute(5)), true, 'it may have been sent, and nobody knows');
  await report(store, first, minute(2), 'already_invalid');
  assert.equal(await reached(minute(0)), false, 'it was dead before we asked');
});

test('after another try nobody can tell what the first one did', async (t) => {
  const store = await useTwo(t);
  await begin(store, 'ch_1');
  await report(store, await claimed(store, minute(1)), minute(1));
  await report(store, await claimed(store, minute(2)), minute(2), 'already_invalid');
  assert.equal(await store.revocations.reached('ch_2', minute(2)), true);
  assert.equal(await store.revocations.reached('ch_2', minute(3)), false);
});

test('a link is good once and until it lapses, and where it is not, nothing is done', async (t) => {
  const store = await useTwo(t);
  const link = { channel: 'ch_1', tenant: 'acme', linkHash: 'first', createdBy: 'alice', createdAt: minute(0) };
  const put = (linkHash: string) =>
    store.revocations.putLink(
      { ...link, linkHash, expiresAt: minute(60) },
      aRecord('channel.revoke-link', { channel: 'ch_1' }),
    );
  await put('first');
  await put('second');
  assert.equal(await store.revocations.findLink('first'), undefined);
  await assert.rejects(begin(store, 'ch_1', minute(1), 'first'), { code: 'INVALID_REVOKE_LINK' });
  await assert.rejects(begin(store, 'ch_2', minute(1), 'second'), { code: 'INVALID_REVOKE_LINK' });
  await assert.rejects(begin(store, 'ch_1', minute(61), 'second'), { code: 'INVALID_REVOKE_LINK' });
  assert.equal((await store.channels.find('ch_1'))?.state, 'active');
  await begin(store, 'ch_1', minute(1), 'second');
  assert.equal(await store.revocations.findLink('second'), undefined);
  await assert.rejects(begin(store, 'ch_1'), { code: 'CHANNEL_REVOKED' });
});
