import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError, type ErrorCode } from '../../broker/errors.ts';
import { createDatabasePresence } from '../../broker/flow/database-presence.ts';

/** Probes that answer when the test says so. */
function watched() {
  const probes: PromiseWithResolvers<void>[] = [];
  const turns: boolean[] = [];
  const presence = createDatabasePresence({
    check: () => {
      const probe = Promise.withResolvers<void>();
      probes.push(probe);
      return probe.promise;
    },
    patienceMs: 20,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) resolve();
        else setImmediate(resolve);
      }),
    onChange: (away) => void turns.push(away),
  });
  const until = async (met: () => boolean) => {
    while (!met()) await new Promise(setImmediate);
  };
  return { presence, probes, turns, until };
}

const failing = (code: ErrorCode, cause?: unknown) => async () => {
  throw new BrokerError(code, { cause });
};

test('a step that gets no answer makes the database count as away, until a probe is answered', async () => {
  const { presence, probes, turns, until } = watched();
  let back = 0;
  presence.onBack(() => {
    back += 1;
  });
  await assert.rejects(
    presence.within(() => new Promise(() => {})),
    { code: 'STORE_UNAVAILABLE' },
  );
  assert.equal(presence.isAway(), true);
  await until(() => probes.length === 1);
  probes[0]?.reject(new BrokerError('STORE_UNAVAILABLE'));
  await until(() => probes.length === 2);
  assert.equal(presence.isAway(), true);
  probes[1]?.resolve();
  await until(() => !presence.isAway());
  assert.deepEqual([turns, back], [[true, false], 1]);
  await presence.stop();
});

test('one probe at a time: one that hangs holds a connection', async () => {
  const { presence, probes, until } = watched();
  await assert.rejects(presence.within(failing('STORE_UNAVAILABLE')), { code: 'STORE_UNAVAILABLE' });
  await until(() => probes.length === 1);
  // Longer than it is waited for.
  await assert.rejects(
    presence.within(() => new Promise(() => {}), 60),
    { code: 'STORE_UNAVAILABLE' },
  );
  assert.equal(probes.length, 1);
  assert.equal(presence.isAway(), true);
  probes[0]?.resolve();
  await until(() => probes.length === 2);
  probes[1]?.resolve();
  await until(() => !presence.isAway());
  await presence.stop();
});

test('a refusal by the database is an answer; a record that could not reach it is none', async () => {
  const { presence, probes, turns, until } = watched();
  for (const code of ['STORE_CONFLICT', 'INTERNAL', 'AUDIT_UNAVAILABLE'] as const) {
    await assert.rejects(presence.within(failing(code)), { code });
  }
  assert.deepEqual([presence.isAway(), turns], [false, []]);
  const unreached = failing('AUDIT_UNAVAILABLE', new BrokerError('STORE_UNAVAILABLE'));
  await assert.rejects(presence.within(unreached), { code: 'AUDIT_UNAVAILABLE' });
  assert.equal(presence.isAway(), true);
  await until(() => probes.length === 1);
  probes[0]?.resolve();
  await presence.stop();
});
