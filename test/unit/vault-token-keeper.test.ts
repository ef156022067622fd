import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { backOff } from '../../broker/vault/back-off.ts';
import type { TokenLease } from '../../broker/vault/login.ts';
import { createTokenKeeper } from '../../broker/vault/token-keeper.ts';
import { VaultFailure, type VaultFailureKind } from '../../broker/vault/vault-failure.ts';

const hour = 3600;

/** A keeper in a world where time moves only when a wait is let go. */
function useKeeper(t: TestContext, random = 0.5) {
  let now = Date.parse('2030-01-01T00:00:00Z');
  const waits: { ms: number; end: () => void }[] = [];
  const events: string[] = [];
  const failing: { login?: VaultFailureKind; renewal?: VaultFailureKind } = {};
  const lease = { seconds: hour, renewable: true, ours: true, renewedTo: hour };
  let logins = 0;
  let someoneWaits = Promise.withResolvers<void>();

  const keeper = createTokenKeeper({
    logIn: async (): Promise<TokenLease> => {
      events.push('login');
      if (failing.login) throw new VaultFailure(failing.login, 'no');
      logins += 1;
      const { seconds, renewable, ours } = lease;
      return { token: new Secret(`t${logins}`), seconds, renewable, ours };
    },
    renew: async (token) => {
      events.push(`renew ${token.reveal()}`);
      if (failing.renewal) throw new VaultFailure(failing.renewal, 'no');
      return lease.renewedTo;
    },
    revoke: async (token) => void events.push(`revoke ${token.reveal()}`),
    clock: { now: () => new Date(now) },
    random: () => random,
    wait: (ms, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const wait = { ms, end: resolve };
      signal.addEventListener('abort', () => {
        waits.splice(waits.indexOf(wait), 1);
        reject(signal.reason);
      });
      if (signal.aborted) reject(signal.reason);
      else waits.push(wait);
      someoneWaits.resolve();
      return promise;
    },
    log: { info: () => undefined, warn: () => undefined },
  });
  t.after(() => keeper.close());

  return {
    keeper,
    waits,
    events,
    failing,
    lease,
    token: async () => (await keeper.current()).reveal(),
    pass: (ms: number) => {
      now += ms;
    },
    /** Lets the one wait go, its time past, and answers its length once the keeper waits again. */
    async step(): Promise<number> {
      if (waits.length === 0) await someoneWaits.promise;
      assert.equal(waits.length, 1, 'one wait at a time');
      const [wait] = waits.splice(0);
      someoneWaits = Promise.withResolvers();
      now += wait?.ms ?? 0;
      wait?.end();
      await someoneWaits.promise;
      return wait?.ms ?? 0;
    },
  };
}

test('nothing is asked of Vault before the first token is needed', async (t) => {
  const { events, token } = useKeeper(t);
  assert.deepEqual(events, []);
  assert.equal(await token(), 't1');
});

test('many who need a token at once share one login', async (t) => {
  const { events, token } = useKeeper(t);
  assert.deepEqual(await Promise.all([token(), token(), token()]), ['t1', 't1', 't1']);
  assert.deepEqual(events, ['login']);
});

test('the token is renewed at two thirds of its lease, again and again', async (t) => {
  const { events, token, step } = useKeeper(t);
  await token();
  for (let i = 0; i < 3; i++) assert.equal(await step(), hour * 1000 * (2 / 3));
  assert.deepEqual(events, ['login', 'renew t1', 'renew t1', 'renew t1']);
});

test('renewals of many brokers are spread by a tenth to either side', async (t) => {
  for (const [random, part] of [
    [0, 0.6],
    [1, 2.2 / 3],
  ] as const) {
    const { token, step } = useKeeper(t, random);
    await token();
    assert.ok(Math.abs((await step()) - hour * 1000 * part) < 1);
  }
});

test('a renewal that fails is tried again with back-off, and the token stays in use', async (t) => {
  const { keeper, events, failing, token, step } = useKeeper(t);
  await token();
  failing.renewal = 'server_error';
  await step();
  assert.deepEqual([keeper.health().state, keeper.health().failure], ['renewal_failing', 'server_error']);
  const pauses = [await step(), await step(), await step()];
  assert.ok(pauses.every((ms, i) => ms >= 25 && (i === 0 || ms > (pauses[i - 1] ?? 0))));
  delete failing.renewal;
  await step();
  assert.deepEqual([keeper.health().state, keeper.health().failure], ['logged_in', undefined]);
  assert.equal(await token(), 't1');
  assert.deepEqual(new Set(events), new Set(['login', 'renew t1']));
});

test('when renewals fail until the lease ends, a new login follows', async (t) => {
  const { events, failing, lease, token, step } = useKeeper(t);
  lease.seconds = 60;
  await token();
  failing.renewal = 'unreachable';
  while (events.filter((event) => event === 'login').length < 2) await step();
  assert.equal(await token(), 't2');
});

test('a refused renewal is not tried again: a new login follows at once', async (t) => {
  const { events, failing, token, step } = useKeeper(t);
  await token();
  failing.renewal = 'forbidden';
  await step();
  assert.deepEqual(events, ['login', 'renew t1', 'login', 'revoke t1']);
  assert.equal(await token(), 't2');
});

test('a lease that Vault shortens, its longest life being near, is replaced by a new login', async (t) => {
  const { events, lease, token, step } = useKeeper(t);
  await token();
  lease.renewedTo = 60;
  await step();
  assert.deepEqual(events, ['login', 'renew t1', 'login', 'revoke t1']);
  assert.equal(await token(), 't2');
});

test('a token that cannot be renewed is replaced before its end', async (t) => {
  const { events, lease, token, step } = useKeeper(t);
  lease.renewable = false;
  await token();
  await step();
  assert.deepEqual(events, ['login', 'login', 'revoke t1']);
});

test('the old token serves while new logins fail, until its end', async (t) => {
  const { keeper, failing, token, step, pass } = useKeeper(t);
  await token();
  failing.renewal = 'forbidden';
  failing.login = 'sealed';
  await step();
  assert.equal(keeper.health().state, 'renewal_failing');
  assert.equal(await token(), 't1');
  pass(hour * 1000);
  await assert.rejects(token(), { kind: 'sealed' });
  await step();
  assert.deepEqual([keeper.health().state, keeper.health().tokenExpiresAt], ['logged_out', undefined]);
});

test('while logins fail, callers hear why at once and start none of their own', async (t) => {
  const { keeper, events, failing, token, waits, step } = useKeeper(t);
  failing.login = 'login_refused';
  await assert.rejects(token(), { kind: 'login_refused' });
  await assert.rejects(token(), { kind: 'login_refused' });
  assert.deepEqual(events, ['login']);
  assert.equal(waits.length, 1);
  assert.deepEqual([keeper.health().state, keeper.health().failure], ['logged_out', 'login_refused']);
  delete failing.login;
  await step();
  assert.equal(await token(), 't1');
  assert.equal(keeper.health().state, 'logged_in');
});

test('the back-off doubles to ten seconds and is never nothing', () => {
  const longest = [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => backOff(failures, () => 1));
  assert.deepEqual(longest, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(
    backOff(50, () => 0),
    25,
  );
});

test('a token refused when it is new stays: the refusal is meant', async (t) => {
  const { keeper, events } = useKeeper(t);
  const refused = await keeper.current();
  assert.equal(await keeper.replace(refused), undefined);
  assert.deepEqual(events, ['login']);
});

test('an older token that is refused is replaced by one login, however many were refused', async (t) => {
  const { keeper, events, pass } = useKeeper(t);
  const refused = await keeper.current();
  pass(10_000);
  const replaced = await Promise.all([keeper.replace(refused), keeper.replace(refused), keeper.replace(refused)]);
  assert.deepEqual(
    replaced.map((token) => token?.reveal()),
    ['t2', 't2', 't2'],
  );
  assert.deepEqual(events, ['login', 'login', 'revoke t1']);
});

test('a token that is not ours is never revoked', async (t) => {
  const { keeper, lease, events, pass } = useKeeper(t);
  lease.ours = false;
  const refused = await keeper.current();
  pass(10_000);
  await keeper.replace(refused);
  await keeper.close();
  assert.deepEqual(events, ['login', 'login']);
});

test('closing ends every wait, revokes the token, and leaves callers with a plain word', async (t) => {
  const { keeper, events, waits, token } = useKeeper(t);
  await token();
  await keeper.close();
  assert.deepEqual(events, ['login', 'revoke t1']);
  assert.equal(waits.length, 0);
  assert.equal(keeper.health().state, 'closed');
  await assert.rejects(token(), { kind: 'closed' });
});
