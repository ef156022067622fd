/** Who is shut out, by heart: what was read last holds, and nothing that was heard is missed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { createDenyList } from '../../broker/flow/deny-list.ts';
import { createRevokedCertificates, type RevocationSettings } from '../../broker/flow/revoked-certificates.ts';
import { createShutOut } from '../../broker/flow/shut-out.ts';
import type { RevocationList } from '../../broker/ports.ts';

const settle = async () => {
  for (let n = 0; n < 20; n += 1) await new Promise(setImmediate);
};
const peer = { spiffeId: 'spiffe://media.example/workload/up', serial: '0a:1b' };

/** A deny list over a database that answers when the test says so. */
function useDenyList() {
  const state = { subjects: [] as string[], away: false, reads: 0, changes: 0, gate: Promise.resolve() };
  const denyList = createDenyList({
    store: {
      workloadDenials: {
        subjects: async () => {
          state.reads += 1;
          const read = [...state.subjects];
          await state.gate;
          if (state.away) throw new BrokerError('STORE_UNAVAILABLE');
          return read;
        },
      },
    },
    randomFraction: () => 0,
    sleep: () => new Promise(setImmediate),
    onChange: () => {
      state.changes += 1;
    },
    onFault: (error) => assert.fail(String(error)),
  });
  const shutOut = createShutOut({ denyList, revoked: { has: () => false, mustRefuse: () => false } });
  return { state, denyList, shutOut };
}

test('before the list has been read nobody is let in; then only who is on it is not', async () => {
  const { state, denyList, shutOut } = useDenyList();
  assert.equal(shutOut.refusalOf(peer), 'REVOCATIONS_UNKNOWN');
  await denyList.load();
  assert.equal(shutOut.refusalOf(peer), undefined);
  for (const subject of [peer.spiffeId, peer.serial]) {
    state.subjects = [subject];
    await denyList.load();
    assert.equal(shutOut.refusalOf(peer), 'WORKLOAD_DENIED', subject);
  }
});

test('while the database is away the list that was read last holds, and it is read as soon as it is back', async () => {
  const { state, denyList, shutOut } = useDenyList();
  state.subjects = [peer.spiffeId];
  await denyList.load();
  state.away = true;
  state.subjects = [];
  denyList.changed();
  await settle();
  assert.ok(state.reads > 2, 'it is tried again and again');
  assert.equal(shutOut.refusalOf(peer), 'WORKLOAD_DENIED');
  state.away = false;
  await settle();
  assert.equal(shutOut.refusalOf(peer), undefined);
});

test('a change that is heard while the list is being read has it read once more', async () => {
  const { state, denyList, shutOut } = useDenyList();
  await denyList.load();
  const gate = Promise.withResolvers<void>();
  state.gate = gate.promise;
  denyList.changed();
  await settle();
  state.subjects = [peer.spiffeId];
  denyList.changed();
  gate.resolve();
  await settle();
  assert.equal(shutOut.refusalOf(peer), 'WORKLOAD_DENIED');
  assert.equal(state.reads, 3);
});

const minute = 60_000;
const usual: RevocationSettings = { pollMs: 5_000, staleAfterMs: 5 * minute, whenStale: 'serve' };

/** Revocation lists of a Vault that answers what the test says; one poll for each call of `poll`. */
function useRevocations(settings: Partial<RevocationSettings> = {}) {
  const state = { now: 0, away: false, renewals: 0, faults: 0, changes: 0, wake: () => {} };
  const list = (change: Partial<RevocationList> = {}): RevocationList => ({
    issuer: 'one',
    thisUpdate: new Date(state.now),
    nextUpdate: new Date(state.now + 72 * 60 * minute),
    serials: [],
    ...change,
  });
  let answer = [list()];
  const revoked = createRevokedCertificates({
    lists: {
      fetch: async () => {
        if (state.away) throw new BrokerError('VAULT_UNAVAILABLE');
        return answer;
      },
      renew: async () => {
        state.renewals += 1;
        answer = answer.map((one) => list({ issuer: one.issuer, serials: one.serials }));
      },
    },
    settings: { ...usual, ...settings },
    clock: { now: () => new Date(state.now) },
    randomFraction: () => 0,
    sleep: () =>
      new Promise((resolve) => {
        state.wake = resolve;
      }),
    onChange: () => {
      state.changes += 1;
    },
    onFault: () => {
      state.faults += 1;
    },
  });
  const denyList = { has: () => false };
  return {
    state,
    revoked,
    list,
    shutOut: createShutOut({ denyList, revoked }),
    answers(...lists: RevocationList[]) {
      answer = lists;
    },
    async poll() {
      state.wake();
      await settle();
    },
  };
}

test('a certificate on the list of any issuer is refused from the next poll on', async () => {
  const { revoked, shutOut, list, answers, poll, state } = useRevocations();
  await revoked.look();
  revoked.start();
  assert.equal(shutOut.refusalOf(peer), undefined);
  answers(list(), list({ issuer: 'two', serials: [peer.serial] }));
  await poll();
  assert.equal(shutOut.refusalOf(peer), 'CERTIFICATE_REVOKED');
  assert.equal(state.changes, 1, 'open streams are told');
});

test('an older list does not replace a newer one, and an issuer that is gone still counts', async () => {
  const { revoked, shutOut, list, answers, state } = useRevocations();
  state.now = minute;
  answers(list({ serials: [peer.serial] }));
  await revoked.look();
  answers(list({ thisUpdate: new Date(0), serials: [] }));
  await revoked.look();
  assert.equal(shutOut.refusalOf(peer), 'CERTIFICATE_REVOKED');
  answers(list({ issuer: 'two' }));
  await revoked.look();
  assert.equal(shutOut.refusalOf(peer), 'CERTIFICATE_REVOKED');
});

test('a list is renewed in the second half of its life, and not before', async () => {
  const { revoked, state } = useRevocations();
  state.now = 35 * 60 * minute;
  await revoked.look();
  assert.equal(state.renewals, 0);
  state.now = 37 * 60 * minute;
  await revoked.look();
  assert.equal(state.renewals, 1);
  assert.equal(revoked.nextUpdate()?.getTime(), state.now + 72 * 60 * minute);
});

for (const [how, makeStale] of Object.entries({
  'cannot be fetched for too long': (rig: ReturnType<typeof useRevocations>) => {
    rig.state.away = true;
    rig.state.now = 6 * minute;
  },
  'has run out': (rig: ReturnType<typeof useRevocations>) => {
    rig.answers(rig.list({ nextUpdate: new Date(0) }));
  },
})) {
  test(`a list that ${how} is told, and everybody is served on or refused, as it is set`, async () => {
    const serving = useRevocations({ whenStale: 'serve' });
    const refusing = useRevocations({ whenStale: 'refuse' });
    for (const rig of [serving, refusing]) {
      await rig.revoked.look();
      await rig.revoked.check();
      rig.revoked.start();
      makeStale(rig);
      await rig.poll();
      await assert.rejects(rig.revoked.check(), { code: 'REVOCATIONS_UNKNOWN' });
    }
    assert.equal(serving.shutOut.refusalOf(peer), undefined);
    assert.equal(refusing.shutOut.refusalOf(peer), 'REVOCATIONS_UNKNOWN');
    assert.equal(refusing.state.changes, 1, 'open streams are told');

    refusing.state.away = false;
    refusing.answers(refusing.list());
    await refusing.poll();
    assert.equal(refusing.shutOut.refusalOf(peer), undefined);
    assert.equal(refusing.state.changes, 2);
  });
}

test('lists that were never fetched are stale', async () => {
  const rig = useRevocations({ whenStale: 'refuse' });
  rig.state.away = true;
  await assert.rejects(rig.revoked.look());
  assert.equal(rig.shutOut.refusalOf(peer), 'REVOCATIONS_UNKNOWN');
});
