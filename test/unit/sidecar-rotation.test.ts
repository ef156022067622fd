/** When the sidecar's certificate is replaced: the schedule, forced rotation, and what a jump of the clock does. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { startClockWatch } from '../../sidecar/clock-watch.ts';
import { IdentityError } from '../../sidecar/identity-error.ts';
import { retryDelay, rotationTime } from '../../sidecar/rotation-schedule.ts';
import type { WorkloadSvid } from '../../sidecar/svid-issuer.ts';
import { startSvidSource } from '../../sidecar/svid-source.ts';
import { atEnd, type Scope } from '../support/scope.ts';

test('rotates a certificate at half of its life, give or take a tenth of that', () => {
  assert.equal(rotationTime(1_000, 3_001_000, 0.5), 1_501_000);
  assert.equal(rotationTime(0, 3_000_000, 0), 1_350_000);
  assert.equal(rotationTime(0, 3_000_000, 1), 1_650_000);
});

test('tries again after a second and later and later, at the latest after what the trouble allows', () => {
  const delay = (failures: number, random: number) => retryDelay({ failures, random, left: 0, longest: 300_000 });
  assert.deepEqual([delay(1, 0), delay(1, 1)], [500, 1_000]);
  assert.deepEqual([delay(4, 1), delay(9, 1), delay(10, 1), delay(500, 1)], [8_000, 256_000, 300_000, 300_000]);
});

test('tries more often towards the end of the certificate in force, and never in a tight loop', () => {
  const delay = (left: number) => retryDelay({ failures: 20, random: 1, left, longest: 300_000 });
  assert.deepEqual([delay(3_600_000), delay(80_000), delay(1)], [300_000, 20_000, 1_000]);
});

test('a wrong credential is tried at five minutes’ distance, a Vault that is away at one', () => {
  const wait = (code: IdentityError['code']) => new IdentityError(code, 'x').longestWaitMs;
  assert.deepEqual([wait('CREDENTIAL_REJECTED'), wait('VAULT_UNREACHABLE')], [300_000, 60_000]);
});

interface Issuing {
  readonly done: PromiseWithResolvers<WorkloadSvid>;
}

/** A source whose attempts are ended by the test. */
function useSource(scope: Scope) {
  const attempts: Issuing[] = [];
  const source = startSvidSource({
    issue: () => {
      const done = Promise.withResolvers<WorkloadSvid>();
      attempts.push({ done });
      return done.promise;
    },
    readBundle: async () => ['authority'],
    onRotation: () => {},
    log: { info() {}, warn() {}, error() {} },
    now: Date.now,
    random: () => 0.5,
  });
  atEnd(scope, async () => {
    for (const { done } of attempts) done.reject(new Error('the test is over'));
    await source.stop();
  });
  return { source, attempts };
}

function svid(serial: string): WorkloadSvid {
  return {
    spiffeId: parseSpiffeId('spiffe://media.example/workload/uploads'),
    serial,
    notAfter: new Date(Date.now() + 3_600_000),
    privateKeyPem: '',
    certificatePem: '',
    chainPem: [],
    bundlePem: ['authority'],
  };
}

test('a forced rotation begins after it was asked for, is shared, and leaves the old certificate in use until it is done', async (t) => {
  const { source, attempts } = useSource(t);
  const first = source.rotate();
  attempts[0]?.done.resolve(svid('aa'));
  // The first attempt had begun before anybody asked.
  await until(() => attempts.length === 2);
  const [second, third] = [source.rotate(), source.rotate()];
  assert.equal(source.current()?.serial, 'aa');
  attempts[1]?.done.resolve(svid('bb'));
  assert.equal((await first).serial, 'bb');
  await until(() => attempts.length === 3);
  attempts[2]?.done.resolve(svid('cc'));
  assert.deepEqual([(await second).serial, (await third).serial], ['cc', 'cc']);
  assert.equal(source.current()?.serial, 'cc');
});

test('a forced rotation that fails says why, and the old certificate stays in use', async (t) => {
  const { source, attempts } = useSource(t);
  attempts[0]?.done.resolve(svid('aa'));
  await until(() => source.current() !== undefined);
  const forced = source.rotate();
  await until(() => attempts.length === 2);
  attempts[1]?.done.reject(new IdentityError('VAULT_SEALED', 'vault is sealed'));
  await assert.rejects(forced, { code: 'VAULT_SEALED' });
  assert.equal(source.problem()?.code, 'VAULT_SEALED');
  assert.equal(source.current()?.serial, 'aa');
});

test('a jump of the wall clock is noticed once, in both directions; time that passes is none', (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  let [wall, steady] = [1_000_000, 0];
  const jumps: number[] = [];
  const watch = startClockWatch({ now: () => wall, steady: () => steady, onJump: (ms) => jumps.push(ms) });
  const pass = (ms: number, jump = 0) => {
    wall += ms + jump;
    steady += ms;
    mock.timers.tick(1_000);
  };
  pass(1_000);
  pass(60_000);
  pass(1_000, 1_900);
  assert.deepEqual(jumps, []);
  pass(1_000, 3_600_000);
  pass(1_000);
  pass(1_000, -7_200_000);
  pass(1_000);
  watch.stop();
  assert.deepEqual(
    jumps.map((ms) => Math.round(ms / 10_000)),
    [360, -720],
  );
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
