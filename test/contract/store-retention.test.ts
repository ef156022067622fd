/** What the retention clock deletes, when, and what it never touches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { NewNotification, NotificationState } from '../../broker/domain/notification.ts';
import { createApplyRetention } from '../../broker/flow/apply-retention.ts';
import type { Store } from '../../broker/ports.ts';
import { notify } from '../../broker/store/notify.ts';
import type { Scope } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  aFirstToken,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  aRequest,
  aShred,
  aShredStart,
  fill,
  minute,
  start,
} from '../support/store-fixtures.ts';

const day = 24 * 60;
const terms = {
  revokedMs: 7 * day * 60_000,
  deadMs: 30 * day * 60_000,
  consentMs: day * 60_000,
  notificationMs: 90 * day * 60_000,
};

/** A retention clock that stands so many minutes after `start`. */
function retentionAt(store: Store, at: number, mostPerRun = 100) {
  const deps = { store, clock: { now: () => minute(at) }, retention: { ...terms, mostPerRun } };
  const retention = createApplyRetention({ ...deps, startedBy: 'schedule' });
  return { ...retention, run: () => retention.run({ kind: 'scheduler', requestId: `run-${at}` }) };
}

/** A store with channels that went into a state at `start`. */
async function useEnded(scope: Scope, to: 'revoked' | 'needs_reconsent' | 'blocked' | 'suspended', count = 1) {
  const { store, database } = await useStore(scope);
  const channels = Array.from({ length: count }, (_, n) =>
    anActiveChannel({ id: `ch_${n + 1}`, name: `channel ${n}` }),
  );
  await fill(store, ...channels);
  for (const { id } of channels) {
    const change = { id, from: 'active', to, reason: 'revoked_by_admin', generation: 1, at: start } as const;
    await store.channels.changeState(change, aRecord('channel.state', { channel: id }));
  }
  const row = async () => (await database.run((db) => sql`select * from channels order by id`.execute(db))).rows[0];
  return { store, database, row };
}

for (const [state, days] of [
  ['revoked', 7],
  ['needs_reconsent', 30],
] as const) {
  test(`deletes grant and identity of a channel that is ${state} after ${days} days, not before, and keeps the row`, async (t) => {
    const { store, row } = await useEnded(t, state);
    const before = await row();
    assert.deepEqual(await retentionAt(store, (days - 0.1) * day).run(), { deleted: 0, more: false });
    assert.deepEqual(await row(), before);

    assert.deepEqual(await retentionAt(store, days * day).run(), { deleted: 1, more: false });
    const left = Object.entries(Object(await row())).filter(([, value]) => value !== null);
    assert.doesNotMatch(JSON.stringify(left), /vault:v1|hash-first|google-1|UC-1|Cooking with Alice/);
    assert.deepEqual(
      await store.channels.find('ch_1'),
      aChannel({ name: 'channel 0', state, reason: 'revoked_by_admin', grant: undefined, formerGeneration: 1 }),
    );
    assert.deepEqual(await retentionAt(store, 80 * day).run(), { deleted: 0, more: false });
  });
}

test('never touches a channel that is alive, however old', async (t) => {
  for (const state of ['suspended', 'blocked'] as const) {
    const { store, row } = await useEnded(t, state);
    const before = await row();
    const planned = await retentionAt(store, 9_999 * day).plan();
    assert.deepEqual(
      planned.filter(({ kind }) => kind !== 'notification'),
      [],
    );
    await retentionAt(store, 9_999 * day).run();
    assert.deepEqual(await row(), before);
  }
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  await retentionAt(store, 9_999 * day).run();
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
});

test('keeps what a shred has yet to tell Google of, however long that takes', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  await store.shreds.request(aShred(), aRecord('tenant.shred-request'));
  await store.shreds.start(aShredStart, aRecord('tenant.shred-start'), (channel) =>
    aRecord('channel.state', { channel }),
  );
  const tried = (outcome: 'failed' | 'revoked' | undefined) =>
    store.shreds.revocationTried('sh_1', 'ch_1', { outcome, dueAt: minute(1) }, aRecord('channel.revoke'));
  const deleted = async () => (await retentionAt(store, 99 * day).run()).deleted;
  assert.equal(await deleted(), 0);
  await tried('failed');
  assert.equal(await deleted(), 0, 'somebody may have it tried again');
  await store.shreds.retryFailed('sh_1', minute(2), aRecord('tenant.shred-start'));
  await tried('revoked');
  assert.equal(await deleted(), 1);
});

test('counts from the newest change of state, and an owner who consents in time keeps all', async (t) => {
  const { store } = await useEnded(t, 'needs_reconsent');
  await store.consents.create(aConsent({ request: aRequest() }), aRecord('consent.invite'));
  const received = aReceivedGrant({ generation: 2 });
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.consents.activate(received, anIdentity, minute(29 * day), aFirstToken(), aRecord('consent.complete'));
  const change = { id: 'ch_1', from: 'active', to: 'revoked', reason: 'revoked_by_admin', generation: 2 } as const;
  await store.channels.changeState({ ...change, at: minute(40 * day) }, aRecord('channel.state', { channel: 'ch_1' }));
  await retentionAt(store, 46.9 * day).run();
  assert.equal((await store.channels.find('ch_1'))?.grant?.generation, 2);
  await retentionAt(store, 47 * day).run();
  assert.equal((await store.channels.find('ch_1'))?.grant, undefined);
});

test('lets an owner consent to a channel whose dead grant was deleted, in the next generation', async (t) => {
  const { store } = await useEnded(t, 'needs_reconsent');
  await retentionAt(store, 31 * day).run();
  await store.consents.create(aConsent({ request: aRequest() }), aRecord('consent.invite'));
  const first = aReceivedGrant({ generation: 1 });
  const next = aReceivedGrant({ generation: 2 });
  await store.consents.receive(next, aRecord('consent.receive'));
  const activate = (received: typeof next) =>
    store.consents.activate(received, anIdentity, minute(32 * day), aFirstToken(), aRecord('consent.complete'));
  await activate(next);
  await assert.rejects(activate(first), { code: 'STORE_CONFLICT' });
  const channel = await store.channels.find('ch_1');
  assert.equal(channel?.state, 'active');
  assert.equal(channel?.grant?.generation, 2);
  await retentionAt(store, 9_999 * day).run();
  assert.equal((await store.channels.find('ch_1'))?.grant?.generation, 2);
});

test('goes on where a bounded run ended, records each run once for each tenant, and a dry run changes nothing', async (t) => {
  const { store, row } = await useEnded(t, 'revoked', 5);
  const before = await row();
  assert.deepEqual(await retentionAt(store, 8 * day).plan(), [{ tenant: 'acme', kind: 'revoked', count: 5 }]);
  assert.deepEqual(await row(), before);
  assert.deepEqual(await retentionAt(store, 8 * day, 2).run(), { deleted: 2, more: true });
  assert.deepEqual(await retentionAt(store, 8 * day + 1, 2).run(), { deleted: 2, more: true });
  assert.deepEqual(await retentionAt(store, 8 * day + 2, 2).run(), { deleted: 1, more: false });
  const runs = (await store.audit.list({ tenant: 'acme', limit: 3 })).map(({ action, facts }) => [action, facts]);
  const facts = { revoked: 2, dead: 0, requests: 0, links: 0, notifications: 0, startedBy: 'schedule' };
  assert.deepEqual(runs, [
    ['retention.run', { ...facts, revoked: 1, channels: ['ch_5'] }],
    ['retention.run', { ...facts, channels: ['ch_3', 'ch_4'] }],
    ['retention.run', { ...facts, channels: ['ch_1', 'ch_2'] }],
  ]);
});

test('deletes nothing where a channel was consented to between the look and the deletion', async (t) => {
  const { store, database } = await useEnded(t, 'needs_reconsent', 2);
  const cutoffs = { revoked: start, dead: start, consent: start, notification: minute(-1) };
  const items = await store.retention.due(cutoffs, 10);
  assert.equal(items.length, 2);
  await database.run((db) => sql`update channels set state = 'active' where id = 'ch_2'`.execute(db));
  const scrubbing = store.retention.scrub(items, cutoffs, minute(1), aRecord('retention.run'));
  await assert.rejects(scrubbing, { code: 'STORE_CONFLICT' });
  for (const id of ['ch_1', 'ch_2']) assert.ok((await store.channels.find(id))?.grant, id);
});

test('deletes expired requests and links a day after, but no newest consent and none that waits for its checks', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, aChannel());
  const consent = (id: string, createdAt: Date, state: string) =>
    store.consents.create(
      aConsent({ id, createdAt, linkHash: id, request: aRequest({ stateHash: state }) }),
      aRecord('consent.invite', { facts: { id } }),
    );
  await consent('co_old', minute(0), 's1');
  await consent('co_waiting', minute(1), 's2');
  await consent('co_newest', minute(2), 's3');
  await store.consents.receive(aReceivedGrant({ consentId: 'co_waiting' }), aRecord('consent.receive'));
  const left = async () => {
    const { rows } = await database.run((db) =>
      sql<{ id: string; open: boolean }>`
        select id, num_nonnulls(state_hash, browser_hash, code_verifier_encrypted, nonce) > 0 as open
          from consents order by created_at`.execute(db),
    );
    return rows.map(({ id, open }) => (open ? id : `${id} without request`));
  };
  const all = ['co_old', 'co_waiting', 'co_newest'];
  // The request lives for ten minutes, the link for ten hours.
  await retentionAt(store, 10 + 0.9 * day).run();
  assert.deepEqual(await left(), all);
  await retentionAt(store, 10 + day).run();
  assert.deepEqual(await left(), ['co_old without request', 'co_waiting', 'co_newest without request']);
  await retentionAt(store, 600 + 0.9 * day).run();
  assert.equal((await left()).length, 3);
  await retentionAt(store, 600 + day).run();
  assert.deepEqual(await left(), ['co_waiting', 'co_newest without request']);
});

test('deletes notifications ninety days after their end, with their jobs, and none that is still needed', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'mended' }, { generation: 2 }));
  const about = { tenant: 'acme', channel: 'ch_1', generation: 1 };
  const told: readonly (NewNotification & { readonly state: NotificationState; readonly tried?: boolean })[] = [
    { type: 'channel.recovered', occasion: 'delivered', ...about, at: start, state: 'delivered' },
    { type: 'channel.needs_reconsent', occasion: 'dead', ...about, at: start, state: 'dead' },
    { type: 'oauth_client.incident', occasion: 'of operators', oauthClient: 'uploads', at: start, state: 'superseded' },
    { type: 'channel.blocked', occasion: 'no receiver', ...about, at: start, state: 'waiting' },
    { type: 'channel.blocked', occasion: 'tried', ...about, at: start, state: 'waiting', tried: true },
    { type: 'channel.expiring', occasion: 'idle', ...about, at: start, state: 'delivered' },
    { type: 'channel.expiring', occasion: 'idle', ...about, channel: 'ch_2', at: start, state: 'delivered' },
    { type: 'channel.recovered', occasion: 'late', ...about, at: minute(day), state: 'delivered' },
  ];
  await database.transaction(async (trx) => {
    for (const { state, tried, ...one } of told) {
      const id = await notify(trx, one);
      const end = state === 'waiting' ? {} : { state, ended_at: one.at };
      const change = { ...end, first_attempt_at: tried ? one.at : null };
      await trx
        .updateTable('notifications')
        .set(change)
        .where('id', '=', id ?? '')
        .execute();
    }
  });
  const left = async () => {
    const { rows } = await database.run((db) =>
      sql<{ occasion: string; channel: string; jobs: number }>`
        select occasion, channel, (select count(*)::integer from graphile_worker._private_jobs where key = notifications.id) as jobs
          from notifications order by occasion, channel`.execute(db),
    );
    return rows.map(({ occasion, channel, jobs }) => `${occasion} of ${channel}, ${jobs} job`);
  };
  await retentionAt(store, 89 * day).run();
  assert.equal((await left()).length, told.length);

  assert.deepEqual(await retentionAt(store, 90 * day).plan(), [
    { tenant: '', kind: 'notification', count: 1 },
    { tenant: 'acme', kind: 'notification', count: 4 },
  ]);
  assert.deepEqual(await retentionAt(store, 90 * day).run(), { deleted: 5, more: false });
  // The grant of the first may still end by itself, and it was told; that of the second is another one by now.
  assert.deepEqual(await left(), ['idle of ch_1, 1 job', 'late of ch_1, 1 job', 'tried of ch_1, 1 job']);
  const { rows } = await database.run((db) => sql`select key from graphile_worker._private_jobs`.execute(db));
  assert.equal(rows.length, 3, 'nobody is woken for what is gone');
  const [run] = (await store.audit.list({ tenant: 'acme', limit: 1 })).map(({ facts }) => facts);
  assert.equal(run?.notifications, 4);
  const [ofOperators] = (await store.audit.list({ limit: 10 })).filter(({ tenant }) => tenant === undefined);
  assert.deepEqual([ofOperators?.action, ofOperators?.facts.notifications], ['retention.run', 1]);
});
