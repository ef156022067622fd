import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RawBuilder, sql } from 'kysely';
import type { RefreshClaim, Store } from '../../broker/ports.ts';
import { until } from '../support/poll.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useConnection, useStore } from '../support/store.ts';
import {
  aChannel,
  aConsent,
  actsOn,
  aFirstToken,
  anActiveChannel,
  anIdentity,
  aReceivedGrant,
  aRecord,
  aRefresh,
  fill,
  lease,
  minute,
  queueAt,
} from '../support/store-fixtures.ts';

const upTo = (limit: number) => ({ limit, room: limit, roomOf: new Map() });

const refreshRecord = () => aRecord('token.refresh', { channel: 'ch_1', callerKind: 'scheduler', caller: 'scheduler' });

async function claimOf(store: Store, id: string, from: number, until: number): Promise<RefreshClaim> {
  const claim = await store.channels.claim(id, lease(from, until));
  assert.ok(claim, `channel ${id} was not free at minute ${from}`);
  return claim;
}

test('gives one of two claims at the same time', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = () => store.channels.claim('ch_1', lease(0, 2));
  const claims = await Promise.all([claim(), claim(), claim(), claim()]);
  assert.equal(claims.filter((given) => given !== undefined).length, 1);
});

test('gives a claim again when it has lapsed, with a higher fence', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const first = await claimOf(store, 'ch_1', 0, 2);
  assert.equal(await store.channels.claim('ch_1', lease(1, 3)), undefined);
  const second = await claimOf(store, 'ch_1', 2, 4);
  assert.ok(second.fence > first.fence);
  assert.deepEqual(second.channel, anActiveChannel());
});

test('claims no channel that is not active', async (t) => {
  const { store } = await useStore(t);
  await fill(
    store,
    aChannel(),
    anActiveChannel({ id: 'ch_2', name: 'two', state: 'suspended', reason: 'suspended_by_admin' }),
  );
  assert.equal(await store.channels.claim('ch_1', lease(0, 2)), undefined);
  assert.equal(await store.channels.claim('ch_2', lease(0, 2)), undefined);
  assert.deepEqual(await store.channels.claimDue(queueAt(999), lease(999, 1000), upTo(10)), []);
  assert.equal(await store.channels.nextDue(queueAt(0)), undefined);
});

test('claims what is due, the longest due first, up to the limit', async (t) => {
  const { store } = await useStore(t);
  const due = [30, 10, 20, 40].map((minutes) =>
    anActiveChannel({ id: `ch_${minutes}`, name: `due-${minutes}` }, { refreshDueAt: minute(minutes) }),
  );
  await fill(store, ...due);
  const ids = async (now: number, limit: number) =>
    (await store.channels.claimDue(queueAt(now), lease(now, now + 5), upTo(limit))).map(({ channel }) => channel.id);
  assert.deepEqual(await ids(30, 2), ['ch_10', 'ch_20']);
  assert.deepEqual(await ids(30, 2), ['ch_30']);
  assert.deepEqual(await ids(30, 2), []);
});

test('shares the due channels among brokers, each to one', async (t) => {
  const { store } = await useStore(t);
  const channels = Array.from({ length: 30 }, (_, index) => anActiveChannel({ id: `ch_${index}`, name: `n${index}` }));
  await fill(store, ...channels);
  const batches = await Promise.all(
    Array.from({ length: 8 }, () => store.channels.claimDue(queueAt(30), lease(30, 32), upTo(5))),
  );
  const rest = await store.channels.claimDue(queueAt(30), lease(30, 32), upTo(30));
  const claimed = [...batches.flat(), ...rest].map(({ channel }) => channel.id);
  assert.equal(new Set(claimed).size, 30);
  assert.equal(claimed.length, 30);
});

test('passes over a channel that another broker has locked, without waiting for it', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel(), anActiveChannel({ id: 'ch_2', name: 'two' }));
  await database.transaction(async (trx) => {
    await trx.selectFrom('channels').select('id').where('id', '=', 'ch_1').forUpdate().execute();
    assert.equal(await store.channels.claim('ch_1', lease(30, 32)), undefined);
    const claims = await store.channels.claimDue(queueAt(30), lease(30, 32), upTo(10));
    assert.deepEqual(
      claims.map(({ channel }) => channel.id),
      ['ch_2'],
    );
  });
});

test('claims nothing that another broker has refreshed between the look and the claim', async (t) => {
  const { store, url } = await useStore(t);
  await fill(store, anActiveChannel());
  const superuser = useConnection(t, superuserUrl(url));
  const run = (statement: RawBuilder<unknown>) => superuser.run((db) => statement.execute(db));
  // Whoever looks for what is due stands still at the OAuth clients, its snapshot in hand, while somebody holds the lock.
  await run(sql`alter table oauth_clients rename to real_oauth_clients`);
  await run(sql`create view oauth_clients as
    select clients.* from real_oauth_clients clients, (select pg_advisory_xact_lock_shared(7)) as gate`);
  await run(sql`grant select on oauth_clients to public`);
  const slow = await superuser.transaction(async (gate) => {
    await sql`select pg_advisory_xact_lock(7)`.execute(gate);
    const claims = store.channels.claimDue(queueAt(40), lease(40, 41), upTo(5));
    await until('it stands still', async () => {
      const { rows } = await sql`
        select from pg_locks join pg_database on pg_database.oid = database
        where datname = current_database() and locktype = 'advisory' and not granted`.execute(gate);
      return rows.length > 0;
    });
    const claim = await claimOf(store, 'ch_1', 40, 41);
    await store.channels.refreshed(claim, aRefresh({ refreshDueAt: minute(70) }), refreshRecord());
    return { claims };
  });
  assert.deepEqual(await slow.claims, []);
});

test('tells when the next channel is due, and of a claimed one when its claim ends', async (t) => {
  const { store } = await useStore(t);
  const later = anActiveChannel({ id: 'ch_2', name: 'later' }, { refreshDueAt: minute(14) });
  await fill(store, anActiveChannel({}, { refreshDueAt: minute(10) }), later);
  assert.deepEqual(await store.channels.nextDue(queueAt(0)), minute(10));
  await claimOf(store, 'ch_1', 10, 12);
  assert.deepEqual(await store.channels.nextDue(queueAt(10)), minute(12));
  await claimOf(store, 'ch_1', 12, 20);
  assert.deepEqual(await store.channels.nextDue(queueAt(12)), minute(14));
});

test('writes a refresh and its record, ends the claim and forgets the failures', async (t) => {
  const { store } = await useStore(t);
  const failing = anActiveChannel({}, { refreshFailures: 3, lastFailure: 'unavailable' });
  await fill(store, failing);
  const claim = await claimOf(store, 'ch_1', 30, 32);
  await store.channels.refreshed(claim, aRefresh(), refreshRecord());

  assert.deepEqual((await store.channels.find('ch_1'))?.grant, {
    ...claim.grant,
    accessTokenCacheKey: 'token:ch_1:1',
    tokenExpiresAt: minute(90),
    lastRefreshAt: minute(30),
    refreshDueAt: minute(60),
    refreshFailures: 0,
    lastFailure: undefined,
  });
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
  assert.ok(await store.channels.claim('ch_1', lease(31, 33)));
});

test('replaces the refresh token where a rotated one came, and only then', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const rotated = { refreshTokenEncrypted: 'vault:v2:rotated', refreshTokenHash: 'hash-rotated' };
  await store.channels.refreshed(await claimOf(store, 'ch_1', 30, 32), aRefresh({ rotated }), refreshRecord());
  await store.channels.refreshed(await claimOf(store, 'ch_1', 60, 62), aRefresh(), refreshRecord());
  const grant = (await store.channels.find('ch_1'))?.grant;
  assert.equal(grant?.refreshTokenEncrypted, 'vault:v2:rotated');
  assert.equal(grant.refreshTokenHash, 'hash-rotated');
  assert.equal(grant.generation, 1);
});

test('never replaces a refresh token by an empty one', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const rotated = { refreshTokenEncrypted: '', refreshTokenHash: '' };
  await assert.rejects(store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord()), { code: 'INTERNAL' });
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add']);
});

test('refuses a refresh whose claim was given to another, and records nothing of it', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const slow = await claimOf(store, 'ch_1', 30, 32);
  const quick = await claimOf(store, 'ch_1', 32, 34);
  const late = { className: 'unavailable', retryAt: minute(40) };
  await assert.rejects(store.channels.refreshed(slow, aRefresh(), refreshRecord()), { code: 'STORE_CONFLICT' });
  await assert.rejects(store.channels.refreshFailed(slow, late, refreshRecord()), { code: 'STORE_CONFLICT' });
  assert.deepEqual(await store.channels.find('ch_1'), anActiveChannel());
  await store.channels.refreshed(quick, aRefresh(), refreshRecord());
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh']);
});

test('refuses a refresh that was under way when the owner consented anew', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const received = aReceivedGrant({ generation: 2, refreshTokenEncrypted: 'vault:v1:anew' });
  await store.consents.create(aConsent(), aRecord('consent.invite'));
  await store.consents.receive(received, aRecord('consent.receive'));
  await store.consents.activate(received, anIdentity, minute(31), aFirstToken(), aRecord('consent.complete'));

  const rotated = { refreshTokenEncrypted: 'vault:v1:rotated-old', refreshTokenHash: 'hash-old' };
  await assert.rejects(store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord()), {
    code: 'STORE_CONFLICT',
  });
  const grant = (await store.channels.find('ch_1'))?.grant;
  assert.equal(grant?.generation, 2);
  assert.equal(grant.refreshTokenEncrypted, 'vault:v1:anew');
  assert.ok(await store.channels.claim('ch_1', lease(31, 33)), 'the new grant can be refreshed at once');
});

test('keeps a rotated refresh token of a channel that was suspended meanwhile', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const claim = await claimOf(store, 'ch_1', 30, 32);
  const change = { id: 'ch_1', from: 'active', to: 'suspended', reason: 'suspended_by_admin' } as const;
  await store.channels.changeState({ ...change, generation: 1, at: minute(31) }, aRecord('channel.state'));
  const rotated = { refreshTokenEncrypted: 'vault:v1:rotated', refreshTokenHash: 'hash-rotated' };
  await store.channels.refreshed(claim, aRefresh({ rotated }), refreshRecord());
  const channel = await store.channels.find('ch_1');
  assert.equal(channel?.state, 'suspended');
  assert.equal(channel.grant?.refreshTokenEncrypted, 'vault:v1:rotated');
});

test('counts failures, ends the claim and sets the next try, without a change of state', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  for (const [failures, from] of [
    [1, 30],
    [2, 40],
  ] as const) {
    const claim = await claimOf(store, 'ch_1', from, from + 2);
    const failure = { className: 'rate_limited', retryAt: minute(from + 10) };
    await store.channels.refreshFailed(claim, failure, refreshRecord());
    const channel = await store.channels.find('ch_1');
    assert.equal(channel?.state, 'active');
    assert.equal(channel.grant?.refreshFailures, failures);
    assert.equal(channel.grant.lastFailure, 'rate_limited');
    assert.deepEqual(await store.channels.nextDue(queueAt(from)), minute(from + 10));
  }
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'token.refresh', 'token.refresh']);
});

test('looks at the regions that it is given, and at no other', async (t) => {
  const { store } = await useStore(t);
  const regions = ['asia', 'eu', 'us'];
  await fill(store, ...regions.map((region) => anActiveChannel({ id: `ch_${region}`, name: region, region })));
  const part = { ...queueAt(30), regions: ['us', 'asia', 'nowhere'] };
  assert.deepEqual(await store.channels.nextDue(part), minute(30));
  const claims = await store.channels.claimDue(part, lease(30, 32), upTo(10));
  assert.deepEqual(claims.map(({ channel }) => channel.region).sort(), ['asia', 'us']);
  assert.deepEqual(await store.channels.nextDue(part), minute(32));
  assert.equal((await store.channels.claimDue(queueAt(30), lease(30, 32), upTo(10))).length, 1);
});

test('a long queue of one OAuth client leaves places to the others, with what it has already', async (t) => {
  const { store } = await useStore(t);
  const client = { name: 'others', clientId: 'others.apps.example', dpop: false, createdAt: minute(0) };
  await fill(store);
  await store.oauthClients.create({ ...client, publishing: 'production' }, aRecord('oauth-client.add'));
  for (let n = 0; n < 12; n += 1) {
    const channel = { id: `ch_${n}`, name: `n${n}`, region: n % 2 === 0 ? 'eu' : 'us' };
    await store.channels.create(anActiveChannel(channel, { refreshDueAt: minute(n) }), aRecord('channel.add'));
  }
  const late = { id: 'ch_late', name: 'late', oauthClient: 'others' };
  await store.channels.create(anActiveChannel(late, { refreshDueAt: minute(29) }), aRecord('channel.add'));

  const ids = async (taken: number, exceptClients: readonly string[] = []) => {
    const limits = { limit: 8, room: 5, roomOf: new Map([['uploads', 5 - taken]]) };
    const claims = await store.channels.claimDue({ ...queueAt(30), exceptClients }, lease(30, 32), limits);
    for (const claim of claims) await store.channels.giveBack(claim);
    return claims.map(({ channel }) => channel.id);
  };
  assert.deepEqual(await ids(0), ['ch_0', 'ch_1', 'ch_2', 'ch_3', 'ch_4', 'ch_late']);
  assert.deepEqual(await ids(3), ['ch_0', 'ch_1', 'ch_late']);
  assert.deepEqual(await ids(5), ['ch_late']);
  assert.deepEqual(await ids(0, ['uploads']), ['ch_late']);
  assert.deepEqual(await store.channels.nextDue({ ...queueAt(30), exceptClients: ['uploads', 'others'] }), undefined);
  assert.deepEqual(await store.channels.nextDue({ ...queueAt(30), exceptClients: ['uploads'] }), minute(29));
});

test('a claim that is given back leaves the channel due, and gives nothing back that another has', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  const slow = await claimOf(store, 'ch_1', 30, 32);
  const quick = await claimOf(store, 'ch_1', 32, 34);
  await store.channels.giveBack(slow);
  assert.equal(await store.channels.claim('ch_1', lease(33, 35)), undefined);
  await store.channels.giveBack(quick);
  assert.deepEqual(await store.channels.nextDue(queueAt(33)), minute(30));
  assert.ok(await store.channels.claim('ch_1', lease(33, 35)));
});

test('a claim that ends in the far future was made by a wrong clock, and holds nothing', async (t) => {
  const { store } = await useStore(t);
  await fill(store, anActiveChannel());
  await claimOf(store, 'ch_1', 600, 601);
  assert.deepEqual(await store.channels.nextDue(queueAt(30)), minute(30));
  assert.equal((await store.channels.claimDue(queueAt(30), lease(30, 31), upTo(1))).length, 1);
});

test('writes many refreshes at once, each for itself, and once however often it is told', async (t) => {
  const { store } = await useStore(t);
  await fill(store, ...['ch_1', 'ch_2', 'ch_3'].map((id) => anActiveChannel({ id, name: id })));
  const [one, two, three] = await Promise.all(['ch_1', 'ch_2', 'ch_3'].map((id) => claimOf(store, id, 30, 32)));
  assert.ok(one && two && three);
  await claimOf(store, 'ch_2', 32, 34);
  const failure = { className: 'unavailable', retryAt: minute(40) };
  const settled = [
    { claim: one, success: aRefresh({ proofDueAt: minute(900) }), record: refreshRecord() },
    { claim: two, success: aRefresh(), record: refreshRecord() },
    { claim: three, failure, record: refreshRecord() },
  ];
  for (let times = 0; times < 2; times += 1) {
    assert.deepEqual(await store.channels.settleAll(settled), ['written', 'overtaken', 'written']);
  }
  const grants = await Promise.all(['ch_1', 'ch_2', 'ch_3'].map(async (id) => (await store.channels.find(id))?.grant));
  assert.deepEqual(
    grants.map((grant) => grant?.refreshDueAt),
    [minute(60), minute(30), minute(40)],
  );
  assert.deepEqual(
    grants.map((grant) => grant?.refreshFailures),
    [0, 0, 1],
  );
  assert.equal((await store.audit.list({ limit: 50 })).filter(({ action }) => action === 'token.refresh').length, 2);
  assert.deepEqual((await claimOf(store, 'ch_1', 61, 62)).proofDueAt, minute(900));
});

test('where some of a group were written before their answer was lost, the others are written', async (t) => {
  const { store } = await useStore(t);
  await fill(store, ...['ch_1', 'ch_2'].map((id) => anActiveChannel({ id, name: id })));
  const [one, two] = await Promise.all(['ch_1', 'ch_2'].map((id) => claimOf(store, id, 30, 32)));
  assert.ok(one && two);
  const first = { claim: one, success: aRefresh(), record: refreshRecord() };
  const second = { claim: two, success: aRefresh(), record: refreshRecord() };
  await store.channels.settleAll([first]);
  assert.deepEqual(await store.channels.settleAll([second, first]), ['written', 'written']);
  assert.deepEqual((await store.channels.find('ch_2'))?.grant?.refreshDueAt, minute(60));
  assert.equal((await store.audit.list({ limit: 50 })).filter(({ action }) => action === 'token.refresh').length, 2);
});

test('a refresh that was under way when the channel was made due leaves it due, and its proof with it', async (t) => {
  const { store } = await useStore(t);
  const channel = anActiveChannel({}, { refreshDueAt: minute(30) });
  await fill(store, channel, anActiveChannel({ id: 'ch_2', name: 'other' }));
  const event = (jti: string, at: number) => {
    const concerns = { subject: { by: 'account', googleSubject: 'google-1' }, act: 'prove' } as const;
    const events = [{ type: 'sessions-revoked', concerns, reason: undefined, state: undefined }];
    const record = () => aRecord('security-event.receive', { tenant: undefined });
    return store.securityEvents.take({ jti, issuedAt: minute(at), events }, minute(at), record, record);
  };
  const claim = await claimOf(store, 'ch_1', 30, 32);
  await event('before-the-answer', 31);
  const success = aRefresh({ refreshedAt: minute(31), refreshDueAt: minute(60), proofDueAt: minute(999) });
  assert.deepEqual(await store.channels.settleAll([{ claim, success, record: refreshRecord() }]), ['due_again']);
  const again = await claimOf(store, 'ch_1', 31, 33);
  assert.deepEqual([again.grant.refreshDueAt, again.proofDueAt], [minute(31), minute(31)]);

  const failure = { className: 'unavailable', retryAt: minute(45) };
  await event('before-the-failure', 32);
  assert.deepEqual(await store.channels.settleAll([{ claim: again, failure, record: refreshRecord() }]), ['due_again']);
  const last = await claimOf(store, 'ch_1', 33, 35);
  assert.deepEqual([last.grant.refreshDueAt, last.proofDueAt], [minute(32), minute(32)]);

  // Nobody has asked meanwhile: the refresh plans.
  assert.deepEqual(await store.channels.settleAll([{ claim: last, success, record: refreshRecord() }]), ['written']);
  const planned = await claimOf(store, 'ch_1', 60, 62);
  assert.deepEqual([planned.grant.refreshDueAt, planned.proofDueAt], [minute(60), minute(999)]);
});
