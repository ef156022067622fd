import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { createSettleInGroups } from '../../broker/flow/settle-in-groups.ts';
import type { RefreshClaim, SettledRefresh, SettleOutcome } from '../../broker/ports.ts';
import { aGrant, anActiveChannel, aRecord, aRefresh, minute } from '../support/store-fixtures.ts';

function claimOf(id: string): RefreshClaim {
  return {
    channel: anActiveChannel({ id }),
    grant: aGrant(),
    fence: 1,
    until: minute(1),
    lastUsedAt: undefined,
    proofDueAt: undefined,
  };
}

function settleWith(answer: (settled: SettledRefresh) => SettleOutcome | Error) {
  const groups: (readonly string[])[] = [];
  const told = { dueAgain: 0 };
  const settleAll = async (group: readonly SettledRefresh[]) => {
    groups.push(group.map(({ claim }) => claim.channel.id));
    const outcomes = group.map(answer);
    const error = outcomes.find((outcome) => outcome instanceof Error);
    if (error) throw error;
    return outcomes as SettleOutcome[];
  };
  const settling = createSettleInGroups({ settleAll }, () => {
    told.dueAgain += 1;
  });
  return { groups, told, write: (id: string) => settling.refreshed(claimOf(id), aRefresh(), aRecord('token.refresh')) };
}

test('refreshes that end together are written together', async () => {
  const { groups, write } = settleWith(() => 'written');
  await Promise.all(['a', 'b', 'c'].map(write));
  assert.deepEqual(groups, [['a', 'b', 'c']]);
});

test('one that was overtaken hears it alone', async () => {
  const { write } = settleWith(({ claim }) => (claim.channel.id === 'b' ? 'overtaken' : 'written'));
  const results = await Promise.allSettled(['a', 'b', 'c'].map(write));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal((results[1] as PromiseRejectedResult).reason.code, 'STORE_CONFLICT');
});

test('one that somebody has made due meanwhile is told, so that it is looked at again at once', async () => {
  const { write, told } = settleWith(({ claim }) => (claim.channel.id === 'b' ? 'due_again' : 'written'));
  await Promise.all(['a', 'b', 'c'].map(write));
  assert.equal(told.dueAgain, 1);
});

test('one that the database refuses fails alone, and an outage fails all', async () => {
  const refusing = settleWith(({ claim }) =>
    claim.channel.id === 'b' ? new BrokerError('KEY_VERSION_RETIRED') : 'written',
  );
  const results = await Promise.allSettled(['a', 'b', 'c', 'd'].map(refusing.write));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
  assert.equal((results[1] as PromiseRejectedResult).reason.code, 'KEY_VERSION_RETIRED');

  const away = settleWith(() => new BrokerError('STORE_UNAVAILABLE'));
  const lost = await Promise.allSettled(['a', 'b'].map(away.write));
  assert.deepEqual(
    lost.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(away.groups.length, 1, 'it is not asked again for each');
});
