/** Security events in the system of record: once, for the grants they are about, remembered for a bounded time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { auditRecord } from '../../broker/domain/audit-record.ts';
import type { Google } from '../../broker/domain/caller.ts';
import type { SecurityEventSubject, SecurityEventToken } from '../../broker/domain/security-event.ts';
import type { Store } from '../../broker/ports.ts';
import { useStore } from '../support/store.ts';
import { aChannel, anActiveChannel, aRecord, fill, minute, start } from '../support/store-fixtures.ts';

const google: Google = { kind: 'google', ip: undefined, requestId: 'r' };
const account: SecurityEventSubject = { by: 'account', googleSubject: 'google-1' };

function aToken(
  jti: string,
  subject: SecurityEventSubject,
  issuedAt = minute(10),
  type = 'tokens-revoked',
): SecurityEventToken {
  const act = subject.by === 'token-hash' ? 'end' : 'prove';
  return { jti, issuedAt, events: [{ type, concerns: { subject, act }, reason: undefined, state: undefined }] };
}

/** Answers whether it was taken, and which channels it concerned. */
async function take(store: Store, token: SecurityEventToken, at = minute(11)) {
  const channels: string[] = [];
  const taken = await store.securityEvents.take(
    token,
    at,
    (event, _act, { id, tenant }, ended) => {
      channels.push(id);
      const facts = { jti: token.jti, type: event.type, ended: ended ?? '' };
      return auditRecord(at, google, 'channel.security-event', 'ok', { tenant, channel: id }, facts);
    },
    (count) => auditRecord(at, google, 'security-event.receive', 'ok', {}, { jti: token.jti, channels: count }),
  );
  return { taken, channels };
}

describe('taking a security event in', () => {
  test('counts a jti once, whoever is first, and records it once', async (t) => {
    const { store } = await useStore(t);
    await fill(store, anActiveChannel());
    const results = await Promise.all(Array.from({ length: 5 }, () => take(store, aToken('j-1', account))));
    assert.deepEqual(results.map(({ taken }) => taken).sort(), [false, false, false, false, true]);
    const records = await store.audit.list({ limit: 20 });
    assert.equal(records.filter(({ action }) => action === 'security-event.receive').length, 1);
    assert.equal(records.filter(({ action }) => action === 'channel.security-event').length, 1);
  });

  test('undoes everything where its record cannot be written, so that it can come again', async (t) => {
    const { store } = await useStore(t);
    await fill(store, anActiveChannel());
    const token = aToken('j-1', { by: 'token-hash', refreshTokenHash: 'hash-first' });
    const broken = store.securityEvents.take(
      token,
      minute(11),
      () => {
        throw new Error('no record');
      },
      () => aRecord('security-event.receive'),
    );
    await assert.rejects(broken);
    assert.equal((await store.channels.find('ch_1'))?.state, 'active');
    assert.equal((await take(store, token)).taken, true);
    assert.deepEqual([(await store.channels.find('ch_1'))?.state], ['needs_reconsent']);
  });

  test('is about grants of the account in every tenant’s rows and every state but revoked, given before it', async (t) => {
    const { store } = await useStore(t);
    const old = { consentedAt: start };
    const of = (id: string, state: 'active' | 'suspended' | 'blocked' | 'needs_reconsent' | 'revoked', grant = {}) =>
      anActiveChannel({ id, name: id, state }, { ...old, ...grant });
    await fill(
      store,
      of('ch_1', 'active'),
      of('ch_2', 'suspended'),
      of('ch_3', 'needs_reconsent'),
      of('ch_4', 'revoked'),
      of('ch_5', 'active', { googleSubject: 'google-2' }),
      of('ch_6', 'active', { consentedAt: minute(12) }),
      aChannel({ id: 'ch_7', name: 'ch_7' }),
    );
    assert.deepEqual((await take(store, aToken('j-1', account))).channels, ['ch_1', 'ch_2', 'ch_3']);
    const due = async (id: string) => (await store.channels.find(id))?.grant?.refreshDueAt;
    assert.deepEqual(await due('ch_1'), minute(11), 'due at once');
    assert.deepEqual([await due('ch_2'), await due('ch_3')], [minute(30), minute(30)], 'only what is active');
  });

  test('finds a token by hash or by prefix, and nobody by another', async (t) => {
    const { store } = await useStore(t);
    await fill(
      store,
      anActiveChannel({}, { refreshTokenPrefixHash: 'prefix-1' }),
      anActiveChannel({ id: 'ch_2', name: 'two' }, { refreshTokenHash: 'hash-2', refreshTokenPrefixHash: 'prefix-1' }),
    );
    const prefix = (hash: string): SecurityEventSubject => ({ by: 'token-prefix', refreshTokenPrefixHash: hash });
    assert.deepEqual((await take(store, aToken('j-1', prefix('prefix-1')))).channels, ['ch_1', 'ch_2']);
    assert.deepEqual((await take(store, aToken('j-2', prefix('prefix-2')))).channels, []);
    assert.deepEqual((await take(store, aToken('j-3', { by: 'token-hash', refreshTokenHash: 'hash-2' }))).channels, [
      'ch_2',
    ]);
  });

  test('remembers events for thirty days, and forgets at most a hundred with each new one', async (t) => {
    const { store, database } = await useStore(t);
    await fill(store, anActiveChannel());
    const day = 24 * 60;
    const old = Array.from({ length: 150 }, (_, n) => ({
      jti: `old-${n}`,
      types: ['sessions-revoked'],
      issued_at: start,
      received_at: start,
    }));
    await database.run((db) => db.insertInto('security_events').values(old).execute());
    const count = async () =>
      (await database.run((db) => db.selectFrom('security_events').select('jti').execute())).length;
    assert.equal((await take(store, aToken('old-0', account), minute(29 * day))).taken, false, 'still known');
    await take(store, aToken('j-1', account), minute(31 * day));
    assert.equal(await count(), 51);
    await take(store, aToken('j-2', account), minute(31 * day));
    assert.equal(await count(), 2);
  });

  test('an older event does not forgive what a newer one told', async (t) => {
    const { store } = await useStore(t);
    await fill(store, anActiveChannel());
    await take(store, aToken('j-1', account, minute(20), 'account-disabled'));
    await take(store, aToken('j-2', account, minute(15), 'account-enabled'));
    assert.equal((await store.channels.find('ch_1'))?.grant?.securityEvent?.type, 'account-disabled');
    await take(store, aToken('j-3', account, minute(25), 'account-enabled'));
    assert.equal((await store.channels.find('ch_1'))?.grant?.securityEvent, undefined);
  });
});

test('counts the live grants of an account and OAuth client, and which are older', async (t) => {
  const { store } = await useStore(t);
  const at = (
    id: string,
    minutes: number,
    state: 'active' | 'suspended' | 'needs_reconsent' = 'active',
    subject = 'google-1',
  ) => anActiveChannel({ id, name: id, state }, { consentedAt: minute(minutes), googleSubject: subject });
  await fill(
    store,
    at('ch_1', 1),
    at('ch_2', 2, 'suspended'),
    at('ch_3', 3),
    at('ch_4', 0, 'needs_reconsent'),
    at('ch_5', 0, 'active', 'google-2'),
  );
  const account = { googleSubject: 'google-1', oauthClient: 'uploads' };
  assert.deepEqual(await store.channels.grantsOfAccount(account, minute(1)), { live: 3, older: 0 });
  assert.deepEqual(await store.channels.grantsOfAccount(account, minute(3)), { live: 3, older: 2 });
  assert.deepEqual(await store.channels.grantsOfAccount({ ...account, oauthClient: 'other' }, minute(3)), {
    live: 0,
    older: 0,
  });
});
