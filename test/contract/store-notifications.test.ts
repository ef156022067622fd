/** A notification is written with the change that it tells of, once, and wakes its delivery. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { Database } from '../../broker/store/database.ts';
import { notify } from '../../broker/store/notify.ts';
import { createStore } from '../../broker/store/store.ts';
import { useCommitCutter } from '../support/commit-cutter.ts';
import { useConnection, useStore } from '../support/store.ts';
import {
  aConsent,
  aFirstToken,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  fill,
  minute,
} from '../support/store-fixtures.ts';

const dead = {
  id: 'ch_1',
  from: 'active',
  to: 'needs_reconsent',
  reason: 'grant_revoked_or_expired',
  generation: 1,
  at: minute(5),
} as const;
const aStateRecord = () => aRecord('channel.state', { channel: 'ch_1' });

async function told(database: Database) {
  const { rows } = await database.run((db) =>
    sql<{ id: string; type: string; generation: number | null; facts: object; jobs: number }>`
      select id, type, generation, facts,
        (select count(*)::integer from graphile_worker._private_jobs where key = notifications.id) as jobs
      from notifications order by at, id`.execute(db),
  );
  return rows;
}

test('a dead grant is told with the change of state, once, and its delivery is woken', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.channels.changeState(dead, aStateRecord());
  const [notification, ...more] = await told(database);
  assert.deepEqual(more, []);
  assert.match(notification?.id ?? '', /^nt_[0-9a-hjkmnp-tv-z]{26}$/);
  assert.deepEqual(
    { ...notification, id: undefined },
    {
      id: undefined,
      type: 'channel.needs_reconsent',
      generation: 1,
      facts: { state: 'needs_reconsent', former_state: 'active', reason: 'grant_revoked_or_expired' },
      jobs: 1,
    },
  );
});

test('a change that could not be made is told by nobody', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await assert.rejects(store.channels.changeState({ ...dead, generation: 7 }, aStateRecord()), {
    code: 'STORE_CONFLICT',
  });
  assert.deepEqual(await told(database), []);
});

test('a change whose commit was answered by a cut connection is told once, however often it is tried again', async (t) => {
  const { store, database, url } = await useStore(t);
  await fill(store, anActiveChannel());
  const cutter = await useCommitCutter(t, url);
  const behind = createStore({ database: useConnection(t, cutter.url) });
  const record = aStateRecord();
  cutter.arm();
  await assert.rejects(behind.channels.changeState(dead, record), { code: 'STORE_UNAVAILABLE' });
  await behind.channels.changeState(dead, record);
  await store.channels.changeState(dead, record);
  const rows = await told(database);
  assert.deepEqual(
    rows.map(({ type, jobs }) => [type, jobs]),
    [['channel.needs_reconsent', 1]],
  );
});

test('an administrator’s block is told as such, and the consent that ends it as a recovery', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.channels.changeState({ ...dead, to: 'blocked', reason: 'admin_policy_enforced' }, aStateRecord());
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  const received = aReceivedGrant({ generation: 2 });
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.consents.activate(received, anIdentity, minute(9), aFirstToken(), aRecord('consent.complete'));
  assert.deepEqual(
    (await told(database)).map(({ type, generation }) => [type, generation]),
    [
      ['channel.blocked', 1],
      ['channel.recovered', 2],
    ],
  );
});

test('a first consent is no recovery, nor is a consent to a channel that was well', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  const received = aReceivedGrant({ generation: 2 });
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.consents.activate(received, anIdentity, minute(9), aFirstToken(), aRecord('consent.complete'));
  assert.deepEqual(await told(database), []);
});

test('a newer token that brings a channel back is told as a recovery', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.channels.changeState(dead, aStateRecord());
  await store.channels.rotateToken(
    {
      channel: 'ch_1',
      generation: 1,
      formerTokenHash: 'hash-first',
      refreshTokenEncrypted: 'vault:v1:newer',
      refreshTokenHash: 'hash-newer',
      receivedAt: minute(20),
    },
    aRecord('token.refresh', { channel: 'ch_1' }),
  );
  assert.deepEqual(
    (await told(database)).map(({ type }) => type),
    ['channel.needs_reconsent', 'channel.recovered'],
  );
});

test('the same occasion is told once; another one is told again', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  const incident = { type: 'oauth_client.incident', oauthClient: 'uploads', at: minute(1) } as const;
  const tell = (occasion: string) => database.transaction((trx) => notify(trx, { ...incident, occasion }));
  const first = await tell('2026-03-01T12:01:00.000Z');
  assert.match(first ?? '', /^nt_/);
  assert.equal(await tell('2026-03-01T12:01:00.000Z'), undefined);
  assert.notEqual(await tell('2026-03-02T12:01:00.000Z'), first);
  assert.equal((await told(database)).length, 2);
});
