/** docs/refreshing.md says what each failure is taken for and what it does; both are tried here, row by row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Channel, channelStates, releaseRefusal } from '../../broker/domain/channel.ts';
import { reasonsTold } from '../../broker/domain/grant-end.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { classifyAnswer, type FailureClass, noAnswer } from '../../broker/domain/token-endpoint-failure.ts';
import { BrokerError } from '../../broker/errors.ts';
import { createPerformRefresh, type RefreshDeps } from '../../broker/flow/perform-refresh.ts';
import type { RefreshClaim, Store } from '../../broker/ports.ts';
import { code, codesIn, named, readDocument, tableOf } from '../support/documents.ts';
import { aChannel, aGrant, minute, start } from '../support/store-fixtures.ts';

const text = readDocument('docs/refreshing.md');
const rows = tableOf(text, 'What each failure does');

/** Every class there is, by the type. */
const classes: Readonly<Record<FailureClass, true>> = {
  grant_dead: true,
  session_control: true,
  admin_policy: true,
  dpop_rejected: true,
  client_rejected: true,
  request_rejected: true,
  rate_limited: true,
  unavailable: true,
};

test('docs/refreshing.md has a row for each class of failure', () => {
  assert.deepEqual(rows.map(([, name]) => named(name)).sort(), Object.keys(classes).sort());
});

test('each error that docs/refreshing.md names is of the class beside it', () => {
  for (const [answer, name] of rows) {
    for (const error of codesIn(answer)) {
      const isSubtype = error === 'invalid_rapt';
      const body = isSubtype ? { error: 'invalid_grant', error_subtype: error } : { error };
      // The row of session control repeats the error that its subtype belongs to.
      if (error === 'invalid_grant' && named(name) === 'session_control') continue;
      assert.equal(classOf(400, body), named(name), error);
    }
  }
  const statuses = [
    [429, 'rate_limited'],
    [403, 'rate_limited'],
    [503, 'unavailable'],
    [200, 'unavailable'],
  ] as const;
  for (const [status, expected] of statuses) assert.equal(classOf(status, undefined), expected);
  assert.equal(classOf(400, { error: 'unheard_of' }), 'request_rejected');
  assert.equal(noAnswer().class, 'unavailable');
});

for (const [, name, state, reason, told] of rows) {
  test(`a refresh that fails as ${named(name)} does what docs/refreshing.md says`, async () => {
    const outcome = await refreshThatFailsAs(named(name) as FailureClass);
    assert.equal(outcome.state === 'active' ? 'stays' : code(outcome.state), state);
    assert.equal(outcome.state === 'active' ? '' : code(outcome.reason), reason?.replace(/, or .*/, ''));
    assert.equal(outcome.told, named(told));
    const expectedAsks = state?.includes('needs_reconsent') ? 2 : 1;
    assert.equal(outcome.asked, expectedAsks);
  });
}

test('docs/refreshing.md has every reason that is read from what is known of a grant, in its order', () => {
  const documented = tableOf(text, 'Why a grant ended').map(([, reason]) => named(reason));
  const source = readDocument('broker/domain/grant-end.ts');
  const given = source.slice(source.indexOf('export function likelyReason')).matchAll(/return '(\w+)'/g);
  const [first, ...others] = [...given].map(([, reason]) => reason);
  assert.deepEqual(documented, [first, ...new Set([...Object.values(reasonsTold), ...others])]);
});

test('docs/refreshing.md has every state and what a reader is told in it', () => {
  const expected = channelStates.map((state) => {
    const refusal = releaseRefusal({ state });
    return [code(state), refusal === undefined ? 'the token' : code(refusal)];
  });
  const documented = tableOf(text, 'States of a channel').map(([state, , told]) => [state, told]);
  assert.deepEqual(documented, expected);
});

function classOf(status: number, body: Readonly<Record<string, unknown>> | undefined): FailureClass {
  return classifyAnswer({ status, contentType: 'application/json', body, retryAfter: undefined }).class;
}

/** Runs one refresh against a Google that always fails in this way. */
async function refreshThatFailsAs(failureClass: FailureClass) {
  const grant = aGrant();
  let channel: Channel = aChannel({ state: 'active', reason: 'consented', grant });
  let asked = 0;
  // As much of the world as a failing refresh touches.
  const deps = {
    store: {
      oauthClients: { find: async () => ({ name: 'uploads', clientId: 'id', dpop: false, createdAt: start }) },
      channels: {
        find: async () => channel,
        grantsOfAccount: async () => ({ live: 1, older: 0 }),
        changeState: async ({ to, reason }: Pick<Parameters<Store['channels']['changeState']>[0], 'to' | 'reason'>) => {
          channel = { ...channel, state: to, reason };
        },
        refreshFailed: async () => undefined,
      },
      revocations: { reached: async () => false },
    },
    spool: { waiting: () => [], prepare: async () => undefined },
    keys: { decrypt: async () => new Secret('refresh-token') },
    google: {
      refresh: async () => {
        asked += 1;
        return { ok: false, failure: { ...noAnswer(), class: failureClass } };
      },
    },
    cache: { keyOf: () => 'key', drop: async () => undefined },
    clock: { now: () => start },
    randomFraction: () => 0.5,
    pause: async () => undefined,
    incidents: { withholds: async () => false },
    onRefreshed: () => undefined,
  } as unknown as RefreshDeps;
  const performRefresh = createPerformRefresh(deps);
  const claim: RefreshClaim = { channel, grant, fence: 1, until: minute(1), lastUsedAt: start, proofDueAt: undefined };
  const told = await performRefresh({ kind: 'scheduler', requestId: 'r' }, claim).then(
    () => 'the token',
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );
  return { told, asked, state: channel.state, reason: channel.reason };
}
