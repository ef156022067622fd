/** What a broker whose clock was ahead leaves in the database does not strand anything once clocks are right. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { notify } from '../../broker/store/notify.ts';
import { useStore } from '../support/store.ts';
import { anActiveChannel, fill, minute } from '../support/store-fixtures.ts';

const day = 24 * 60;
const terms = { aheadMs: 60_000, spreadMs: 120_000 };

test('makes due, spread over some time, what was refreshed by a clock that was ahead, and nothing else', async (t) => {
  const { store } = await useStore(t);
  const ids = Array.from({ length: 20 }, (_, n) => `ch_${n}`);
  const ahead = { lastRefreshAt: minute(60), refreshDueAt: minute(90) };
  await fill(
    store,
    ...ids.map((id) => anActiveChannel({ id, name: id }, ahead)),
    anActiveChannel({ id: 'ch_right', name: 'right' }, { lastRefreshAt: minute(0), refreshDueAt: minute(40) }),
  );
  assert.equal(await store.channels.replan(minute(1), { ...terms, aheadMs: 3_600_000 }), 0, 'clocks differ by so much');
  assert.equal(await store.channels.replan(minute(1), terms), 20);
  const grants = await Promise.all(ids.map(async (id) => (await store.channels.find(id))?.grant));
  for (const grant of grants) {
    const due = grant?.refreshDueAt;
    assert.ok(due && due >= minute(1) && due <= minute(3), `${due}`);
    assert.deepEqual(grant?.lastRefreshAt, minute(1), 'nothing was refreshed tomorrow');
  }
  assert.ok(new Set(grants.map((grant) => grant?.refreshDueAt?.getTime())).size > 10, 'they are due at once');
  assert.deepEqual((await store.channels.find('ch_right'))?.grant?.refreshDueAt, minute(40));
  assert.equal(await store.channels.replan(minute(1), terms), 0, 'it is mended');
});

test('makes due what failed by a clock that was ahead, and leaves what is due late for a reason', async (t) => {
  const { store, database } = await useStore(t);
  const far = minute(3 * day);
  await fill(
    store,
    anActiveChannel({ id: 'ch_failed', name: 'failed' }, { lastRefreshAt: minute(0), refreshDueAt: far }),
    anActiveChannel({ id: 'ch_daily', name: 'daily' }, { lastRefreshAt: minute(0), refreshDueAt: minute(25 * 60) }),
    anActiveChannel(
      { id: 'ch_long', name: 'long' },
      { lastRefreshAt: minute(0), refreshDueAt: far, tokenExpiresAt: minute(6 * day) },
    ),
  );
  await database.run((db) => sql`update channels set proof_due_at = ${far} where id = 'ch_failed'`.execute(db));
  assert.equal(await store.channels.replan(minute(1), terms), 1);
  const dueOf = async (id: string) => (await store.channels.find(id))?.grant?.refreshDueAt;
  const due = await dueOf('ch_failed');
  assert.ok(due && due <= minute(3));
  assert.deepEqual([await dueOf('ch_daily'), await dueOf('ch_long')], [minute(25 * 60), far]);
  const { rows } = await database.run((db) =>
    sql<{ at: Date }>`select proof_due_at as at from channels where id = 'ch_failed'`.execute(db),
  );
  assert.ok(rows[0] && rows[0].at <= minute(1 + 26 * 60), 'it is proven as early as any other');
});

test('lets go of claims and due times of the far future: of revocations, keys and notifications', async (t) => {
  const { store, database } = await useStore(t);
  const revoked = anActiveChannel({ id: 'ch_revoked', name: 'revoked', state: 'revoked', reason: 'revoked_by_admin' });
  await fill(store, anActiveChannel(), revoked);
  const far = minute(3 * day);
  const near = minute(20);
  const told = (occasion: string) =>
    ({ type: 'oauth_client.incident', occasion, at: minute(0), oauthClient: 'uploads' }) as const;
  await database.transaction(async (trx) => {
    await sql`
      insert into channel_revocations (channel, tenant, generation, accepted, requested_at, attempts, due_at, claimed_until)
        values ('ch_revoked', 'acme', 1, '{}', ${minute(0)}, 1, ${far}, ${far})`.execute(trx);
    await trx.updateTable('tenants').set({ key_claimed_until: far }).execute();
    const [late, soon] = [await notify(trx, told('late')), await notify(trx, told('soon'))];
    await trx
      .updateTable('notifications')
      .set({ due_at: far })
      .where('id', '=', late ?? '')
      .execute();
    await trx
      .updateTable('notifications')
      .set({ due_at: near })
      .where('id', '=', soon ?? '')
      .execute();
  });
  await store.channels.replan(minute(1), terms);
  assert.deepEqual(await store.revocations.nextDue(), minute(1));
  assert.equal((await store.revocations.claim(minute(1), minute(2), 10)).length, 1);
  const { rows } = await database.run((db) =>
    sql<{ claimed: Date | null }>`select key_claimed_until as claimed from tenants`.execute(db),
  );
  assert.equal(rows[0]?.claimed, null);
  const dues = (await store.notifications.list({ limit: 10 })).map(({ dueAt }) => dueAt.getTime());
  assert.deepEqual(dues.sort(), [minute(1).getTime(), near.getTime()]);
});
