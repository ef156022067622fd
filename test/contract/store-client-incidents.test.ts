/** Incidents of OAuth clients in PostgreSQL: one of a kind, counted over all replicas, before many channels are changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { Suspicion } from '../../broker/ports.ts';
import { createClientIncidents } from '../../broker/store/client-incidents.ts';
import type { Database } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import type { Scope } from '../support/scope.ts';
import { useConnection, useStore } from '../support/store.ts';
import { actsOn, anActiveChannel, aRecord, aRefresh, fill, minute } from '../support/store-fixtures.ts';

const rules = { minimum: 6, share: 0.2, windowMs: 15 * 60_000 };
const opened = () => aRecord('oauth-client.incident', { tenant: undefined });
const ended = () => aRecord('oauth-client.incident-end', { tenant: undefined });
const restored = (channel: string, tenant: string) => aRecord('channel.state', { channel, tenant });

function suspicion(number: number, given: Partial<Suspicion> = {}): Suspicion {
  return {
    oauthClient: 'uploads',
    channel: `ch_${number}`,
    generation: 1,
    error: 'invalid_grant',
    at: minute(1),
    ...given,
  };
}

/** So many active channels of `uploads`, from `ch_1` on, and one of another client. */
async function useIncidents(scope: Scope, channels = 36) {
  const { store, database, url } = await useStore(scope);
  await fill(
    store,
    ...Array.from({ length: channels }, (_, at) => anActiveChannel({ id: `ch_${at + 1}`, name: `n${at + 1}` })),
  );
  const other = {
    name: 'other',
    clientId: 'other.example',
    dpop: true,
    publishing: 'production',
    createdAt: minute(0),
  } as const;
  await store.oauthClients.create(other, aRecord('oauth-client.add'));
  const incidents = store.clientIncidents;
  const suspect = (number: number, given: Partial<Suspicion> = {}) =>
    incidents.suspect(suspicion(number, given), rules, opened);
  return { store, database, url, incidents, suspect };
}

/** Writes successes of channels, as refreshes do. */
async function refreshed(database: Database, numbers: readonly number[], at: Date): Promise<void> {
  const ids = numbers.map((number) => `ch_${number}`);
  await database.run((db) =>
    sql`update channels set last_refresh = ${at}, last_failure = null where id = any (${ids})`.execute(db),
  );
}

function from(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, at) => first + at);
}

test('believes the first dead grants, holds the next back, and opens one incident at the minimum', async (t) => {
  const { incidents, suspect, store } = await useIncidents(t);
  const verdicts = [];
  for (const number of from(1, 9)) verdicts.push(await suspect(number));
  assert.deepEqual(verdicts, [
    ...Array(2).fill('believed'),
    ...Array(3).fill('withheld'),
    'opened',
    ...Array(3).fill('withheld'),
  ]);
  const [incident, ...more] = await incidents.open();
  assert.deepEqual([incident?.kind, incident?.error, more.length], ['mass_invalid_grant', 'invalid_grant', 0]);
  const { suspects, total } = await incidents.suspects(incident?.id ?? 0, 4);
  assert.equal(total, 9);
  assert.deepEqual(
    suspects.map(({ channel, believed }) => [channel, believed]),
    [
      ['ch_1', true],
      ['ch_2', true],
      ['ch_3', false],
      ['ch_4', false],
    ],
  );
  const records = await store.audit.list({ limit: 100 });
  assert.equal(records.filter(({ action }) => action === 'oauth-client.incident').length, 1);
});

test('counts replicas that find dead grants at the same moment as one', async (t) => {
  const { suspect, url, incidents } = await useIncidents(t);
  const replicas = [1, 2, 3].map(() => createStore({ database: useConnection(t, url) }).clientIncidents);
  await suspect(36, { oauthClient: 'other' });
  const verdicts = await Promise.all(
    from(1, 24).map((number) => replicas[number % 3]?.suspect(suspicion(number), rules, opened)),
  );
  assert.equal(verdicts.filter((verdict) => verdict === 'believed').length, 2);
  assert.equal(verdicts.filter((verdict) => verdict === 'opened').length, 1);
  assert.equal((await incidents.open()).length, 1);
});

test('counts a channel once, however often it fails', async (t) => {
  const { suspect, incidents } = await useIncidents(t);
  for (let time = 0; time < 20; time += 1) assert.equal(await suspect(1), 'believed');
  assert.deepEqual(await incidents.open(), []);
});

test('takes dead grants for their owners’ doing while enough others succeed', async (t) => {
  const { suspect, database, incidents } = await useIncidents(t, 55);
  for (const number of from(1, 3)) await suspect(number);
  await refreshed(database, from(31, 25), minute(2));
  for (const number of from(4, 7)) {
    assert.equal(await suspect(number, { at: minute(2) }), number < 10 ? 'believed' : 'opened', `${number}`);
    if (number === 9) await refreshed(database, from(31, 25), minute(0));
  }
  assert.equal((await incidents.open()).length, 1);
});

test('believes what was held back once the window has passed and no more came', async (t) => {
  const { suspect, incidents } = await useIncidents(t);
  for (const number of from(1, 4)) await suspect(number);
  assert.equal(await suspect(4, { at: minute(10) }), 'withheld');
  assert.equal(await suspect(4, { at: minute(17) }), 'believed');
  assert.deepEqual(await incidents.open(), []);
});

test('keeps OAuth clients apart', async (t) => {
  const { suspect } = await useIncidents(t);
  for (const number of from(1, 6)) await suspect(number);
  assert.equal(await suspect(7), 'withheld');
  assert.equal(await suspect(8, { oauthClient: 'other' }), 'believed');
});

test('the database holds one open incident of a kind for each client, whoever writes', async (t) => {
  const { suspect, database } = await useIncidents(t);
  for (const number of from(1, 6)) await suspect(number);
  const again = sql`insert into oauth_client_incidents (oauth_client, kind, opened_at, error)
    values ('uploads', 'mass_invalid_grant', now(), 'invalid_grant')`;
  await assert.rejects(
    database.run((db) => again.execute(db)),
    { code: 'ALREADY_EXISTS' },
  );
  const half = sql`update oauth_client_incidents set ended_at = now()`;
  await assert.rejects(
    database.run((db) => half.execute(db)),
    /sqlstate 23514/,
  );
});

test('ends by itself when three of those held back are well again, and puts back what was changed', async (t) => {
  const { store, suspect, incidents } = await useIncidents(t);
  for (const number of from(1, 8)) {
    if ((await suspect(number)) !== 'believed') continue;
    const change = {
      id: `ch_${number}`,
      from: 'active',
      to: 'needs_reconsent',
      reason: 'grant_revoked_or_expired',
    } as const;
    await store.channels.changeState({ ...change, generation: 1, at: minute(1) }, restored(`ch_${number}`, 'acme'));
  }
  const succeed = (number: number) => {
    const { error: _error, ...success } = suspicion(number, { at: minute(5) });
    return incidents.succeeded(success, ended, restored);
  };
  assert.deepEqual(await succeed(30), [], 'one that was never suspected says nothing');
  assert.deepEqual([await succeed(3), await succeed(3), await succeed(4)], [[], [], []]);
  assert.deepEqual(await succeed(5), ['mass_invalid_grant']);
  assert.deepEqual(await incidents.open(), []);
  for (const id of ['ch_1', 'ch_2']) {
    const channel = await store.channels.find(id);
    assert.deepEqual(
      [channel?.state, channel?.reason, channel?.grant?.generation],
      ['active', 'restored_after_incident', 1],
    );
    assert.deepEqual(channel?.grant?.refreshDueAt, minute(5));
    assert.equal((await actsOn(store, id)).filter((action) => action === 'channel.state').length, 2);
  }
  const [over] = await incidents.list({ limit: 5 });
  assert.deepEqual([over?.ended?.ending, over?.ended?.by], ['recovered', 'scheduler']);
  assert.equal(await suspect(9, { at: minute(6) }), 'believed', 'nothing of before is counted');
});

test('a person who believes Google changes nothing back, and is believed for a day', async (t) => {
  const { store, suspect, incidents } = await useIncidents(t);
  for (const number of from(1, 6)) await suspect(number);
  const change = { id: 'ch_1', from: 'active', to: 'needs_reconsent', reason: 'grant_revoked_or_expired' } as const;
  await store.channels.changeState({ ...change, generation: 1, at: minute(1) }, restored('ch_1', 'acme'));
  const end = { oauthClient: 'uploads', kind: 'mass_invalid_grant', at: minute(2), by: 'alice' } as const;
  assert.deepEqual(await incidents.end({ ...end, ending: 'believed' }, ended, restored), { restored: [] });
  assert.equal((await store.channels.find('ch_1'))?.state, 'needs_reconsent');
  for (const number of from(3, 20)) assert.equal(await suspect(number, { at: minute(60) }), 'believed');
  await assert.rejects(incidents.end({ ...end, ending: 'thawed' }, ended, restored), { code: 'INCIDENT_NOT_FOUND' });
  const later = minute(2 + 24 * 60);
  for (const number of from(30, 5)) await suspect(number, { at: later });
  assert.equal(await suspect(35, { at: later }), 'opened');
});

test('a person who says that the client is well puts back what was changed, and what was held back comes due', async (t) => {
  const { store, suspect, incidents } = await useIncidents(t);
  for (const number of from(1, 6)) await suspect(number);
  const change = { id: 'ch_1', from: 'active', to: 'needs_reconsent', reason: 'grant_revoked_or_expired' } as const;
  await store.channels.changeState({ ...change, generation: 1, at: minute(1) }, restored('ch_1', 'acme'));
  const claim = await store.channels.claim('ch_6', { now: minute(1), until: minute(2), owner: 'a' });
  assert.ok(claim);
  const failure = { className: 'grant_dead', retryAt: minute(900) };
  await store.channels.refreshFailed(claim, failure, aRecord('token.refresh', { channel: 'ch_6' }));
  const end = {
    oauthClient: 'uploads',
    kind: 'mass_invalid_grant',
    at: minute(3),
    by: 'alice',
    ending: 'thawed',
  } as const;
  const { restored: back } = await incidents.end(end, ended, restored);
  assert.deepEqual(back, [{ channel: 'ch_1', tenant: 'acme' }]);
  const due = (await store.channels.find('ch_6'))?.grant?.refreshDueAt;
  assert.ok(due && due >= minute(3) && due <= minute(3.5), `${due?.toISOString()}`);
});

test('of very many that were held back a bounded number comes due at once, and none that is locked is waited for', async (t) => {
  const { database, suspect } = await useIncidents(t);
  for (const number of from(1, 6)) await suspect(number);
  await database.run((db) =>
    sql`update channels set last_failure = 'grant_dead', refresh_due_at = ${minute(900)}`.execute(db),
  );
  const incidents = createClientIncidents(database, { mostAtOnce: 20 });
  const end = { oauthClient: 'uploads', kind: 'mass_invalid_grant', at: minute(3), by: 'alice' } as const;
  await database.transaction(async (trx) => {
    await sql`select from channels where id in ('ch_1', 'ch_2') for update`.execute(trx);
    await incidents.end({ ...end, ending: 'thawed' }, ended, restored);
  });
  const { rows } = await database.run((db) =>
    sql<{ id: string }>`select id from channels where refresh_due_at <= ${minute(3.5)}`.execute(db),
  );
  assert.equal(rows.length, 20);
  assert.ok(!rows.some(({ id }) => ['ch_1', 'ch_2'].includes(id)));
});

test('a client is refused when Google says so twice since its last success, and one success ends it', async (t) => {
  const { store, incidents, database } = await useIncidents(t);
  const reject = (number: number, at: Date) =>
    incidents.rejected(suspicion(number, { error: 'unauthorized_client', at }), opened);
  assert.equal(await reject(1, minute(1)), 'noted');
  await refreshed(database, [2], minute(2));
  assert.equal(await reject(1, minute(3)), 'noted', 'one bad channel beside a good one is no incident');
  assert.equal(await reject(3, minute(4)), 'opened');
  assert.equal(await reject(4, minute(4)), 'open');
  const claim = await store.channels.claim('ch_2', { now: minute(5), until: minute(6), owner: 'a' });
  assert.ok(claim);
  await store.channels.refreshed(
    claim,
    aRefresh({ refreshedAt: minute(5) }),
    aRecord('token.refresh', { channel: 'ch_2' }),
  );
  const { error: _error, ...success } = suspicion(2, { at: minute(5) });
  assert.deepEqual(await incidents.succeeded(success, ended, restored), ['client_rejected']);
  assert.equal(await reject(1, minute(6)), 'noted');
});
