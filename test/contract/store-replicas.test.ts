/** How brokers see each other: who is alive, and which regions nobody serves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { replicaState } from '../../broker/flow/list-replicas.ts';
import type { Database } from '../../broker/store/database.ts';
import { useStore } from '../support/store.ts';
import { anActiveChannel, fill } from '../support/store-fixtures.ts';

const takeoverMs = 60_000;

function replica(id: string, ...regions: readonly string[]) {
  return { id, version: '1.0.0', regions: regions.length > 0 ? regions : undefined };
}

/** As if a replica had started, or been seen, so long ago. */
async function age(database: Database, id: string, column: 'started_at' | 'seen_at', minutes: number): Promise<void> {
  await database.run((db) =>
    sql`update broker_replicas set ${sql.ref(column)} = now() - make_interval(mins => ${minutes}) where id = ${id}`.execute(
      db,
    ),
  );
}

async function regionsIn(...regions: readonly string[]) {
  return regions.map((region) => anActiveChannel({ id: `ch_${region}`, name: region, region }));
}

test('a region is abandoned when nobody alive was given it, after a time', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, ...(await regionsIn('eu', 'us')));
  const beat = (...args: Parameters<typeof replica>) => store.replicas.beat(replica(...args), takeoverMs);
  assert.deepEqual(await beat('one', 'eu'), [], 'it has not watched for that time');
  await age(database, 'one', 'started_at', 2);
  assert.deepEqual(await beat('one', 'eu'), ['us']);
  assert.deepEqual(await beat('two', 'us'), []);
  assert.deepEqual(await beat('one', 'eu'), []);
  await age(database, 'two', 'seen_at', 2);
  assert.deepEqual(await beat('one', 'eu'), ['us'], 'the other was not seen');
  await age(database, 'two', 'started_at', 5);
  assert.deepEqual(await beat('two', 'us'), []);
  assert.deepEqual(await beat('one', 'eu'), [], 'it is back');
});

test('nothing is abandoned while a replica that serves every region is alive', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, ...(await regionsIn('eu', 'us')));
  await store.replicas.beat(replica('all'), takeoverMs);
  await store.replicas.beat(replica('one', 'eu'), takeoverMs);
  await age(database, 'one', 'started_at', 2);
  assert.deepEqual(await store.replicas.beat(replica('one', 'eu'), takeoverMs), []);
});

test('lists the replicas of the last day, how long they are silent, and which said that they stop', async (t) => {
  const { store, database } = await useStore(t);
  for (const id of ['old', 'silent', 'stopped', 'alive']) await store.replicas.beat(replica(id, 'eu'), takeoverMs);
  await age(database, 'old', 'seen_at', 25 * 60);
  await age(database, 'silent', 'seen_at', 5);
  await store.replicas.stop('stopped');
  await store.replicas.beat(replica('alive', 'eu'), takeoverMs);
  const listed = await store.replicas.list();
  assert.deepEqual(listed.map(({ id }) => id).sort(), ['alive', 'silent', 'stopped']);
  const byId = new Map(listed.map((seen) => [seen.id, seen]));
  assert.ok((byId.get('silent')?.silentMs ?? 0) >= 300_000);
  assert.ok(byId.get('stopped')?.stoppedAt);
  assert.equal(byId.get('alive')?.stoppedAt, undefined);
  assert.deepEqual(byId.get('alive')?.regions, ['eu']);
});

test('a replica is alive, or silent for so long that others serve its regions, or stopped', async (t) => {
  const { store, database } = await useStore(t);
  for (const id of ['alive', 'silent', 'stopped']) await store.replicas.beat(replica(id), takeoverMs);
  await age(database, 'silent', 'seen_at', 2);
  await age(database, 'stopped', 'seen_at', 2);
  await store.replicas.stop('stopped');
  const listed = await store.replicas.list();
  assert.deepEqual(Object.fromEntries(listed.map((seen) => [seen.id, replicaState(seen, takeoverMs)])), {
    alive: 'alive',
    silent: 'silent',
    stopped: 'stopped',
  });
});
