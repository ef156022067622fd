/** Whose turn it is: the limits of one OAuth client, without a database and by a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInProcessRateLimits } from '../../broker/cache/rate-limits.ts';
import type { TokenEndpointFailure } from '../../broker/domain/token-endpoint-failure.ts';
import { createAdmission, NotAdmitted } from '../../broker/flow/admission.ts';
import { RefreshRefused } from '../../broker/flow/refresh-verdict.ts';

const answer: TokenEndpointFailure = {
  class: 'client_rejected',
  status: 401,
  error: 'invalid_client',
  subtype: undefined,
  retryAfter: undefined,
  maybeActed: false,
};

function admissionOf(given: { readonly rejected?: () => boolean; readonly concurrency?: number } = {}) {
  let now = 1_700_000_000_000;
  const clock = { now: () => new Date(now) };
  const admission = createAdmission({
    rateLimits: createInProcessRateLimits({ clock }),
    clock,
    randomFraction: () => 0,
    pause: async () => {},
    sleep: async () => {},
    concurrency: given.concurrency ?? 64,
    rules: { ratePerSecond: 500, burst: 500, slowestPerSecond: 1 },
    isRejected: () => given.rejected?.() ?? false,
    onRefused: () => {},
    onBreaker: () => {},
  });
  let asked = 0;
  return {
    admission,
    now: clock.now,
    pass: (ms: number) => {
      now += ms;
    },
    asked: () => asked,
    /** Asks with the OAuth client `sick`; answers why it was not its turn, or what Google said. */
    ask: (says: 'ok' | TokenEndpointFailure = answer) =>
      admission
        .run('sick', 'eu', async () => {
          asked += 1;
          if (says !== 'ok') throw new RefreshRefused('OAUTH_CLIENT_REJECTED', says);
          return 'ok';
        })
        .catch((error: unknown) => {
          if (error instanceof NotAdmitted) return error.refusal;
          if (error instanceof RefreshRefused) return error.failure.class;
          throw error;
        }),
  };
}

test('a client that Google refuses is asked by one, then by nobody for twenty seconds, though its breaker is closed', async () => {
  let rejected = true;
  const { admission, ask, pass, asked, now } = admissionOf({ rejected: () => rejected });
  assert.equal(await ask(), 'client_rejected');
  for (let tries = 0; tries < 4; tries += 1) {
    pass(4_900);
    assert.equal(await ask(), 'incident');
  }
  assert.equal(asked(), 1);
  assert.deepEqual(admission.excluded(now()).clients, ['sick'], 'nothing of it is claimed meanwhile');
  pass(500);
  assert.deepEqual(admission.excluded(now()).clients, []);
  assert.equal(await ask(), 'client_rejected', 'the next probe');
  assert.equal(await ask(), 'incident');
  rejected = false;
  assert.equal(await ask('ok'), 'ok', 'the incident is over');
  assert.equal(asked(), 3);
});

test('the scheduler may have few refreshes of a client under way until Google has answered some', async () => {
  const { admission, ask, now, pass } = admissionOf();
  assert.deepEqual(admission.windows(now()), { least: 8, of: new Map() });
  for (let answers = 0; answers < 100; answers += 1) await ask('ok');
  assert.equal(admission.windows(now()).of.get('sick'), 48, 'three quarters of all, and no more');
  const unavailable = { ...answer, class: 'unavailable' } as const;
  await ask(unavailable);
  assert.equal(admission.windows(now()).of.get('sick'), 24);
  pass(3_000);
  assert.equal(admission.windows(now()).of.get('sick'), 8, 'nothing was heard of it for a while');
});

test('what Google says of one grant counts as an answer of the client', async () => {
  const { admission, ask, now } = admissionOf();
  await ask({ ...answer, class: 'grant_dead', error: 'invalid_grant', status: 400 });
  assert.equal(admission.windows(now()).of.get('sick'), 9);
});
