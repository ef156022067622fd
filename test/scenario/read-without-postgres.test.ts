/** PostgreSQL stops or says nothing any more while workloads read tokens. */
import assert from 'node:assert/strict';
import { chmod, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { createStore } from '../../broker/store/store.ts';
import { useMuteProxy } from '../support/mute-proxy.ts';
import { until } from '../support/poll.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { migratedDatabase, useConnection } from '../support/store.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const minute = 60_000;

/** The releases of a channel that are on record, oldest first. */
async function releases({ store }: Pick<World, 'store'>, channel: string) {
  const records = await store.audit.list({ channel, limit: 500 });
  return records.filter(({ action }) => action === 'token.release').toReversed();
}

/** A change that is heard of late makes the broker forget what it has read since: waits until it has heard of all. */
async function untilAllIsHeard(world: World) {
  await until('the broker has heard of every change', async () => {
    const { rowCount } = await query(world.databaseUrl, 'select from outbox');
    const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
    return metrics.includes(`\ntoken_broker_changes_total ${rowCount}\n`);
  });
}

async function query(connectionString: string, text: string) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

async function untilDrained(world: World) {
  const folder = join(world.broker.dataDirectory, 'audit');
  await until('the spool is drained', async () => (await readdir(folder)).length === 0);
}

test('while PostgreSQL is stopped, tokens that are issued are served, from the spool onto the record in order, once', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(postgres.url('postgres')) });
  const [channel, unseen] = [await world.connectedChannel('main'), await world.connectedChannel('unseen')];
  const workload = await useWorkload(t, world, { reads: [channel, unseen] });
  const stranger = await useWorkload(t, world, { name: 'stranger' });
  await untilAllIsHeard(world);
  const before = await workload.getAccessToken({ channelId: channel, reason: 'before' });

  await postgres.halt();
  const reasons = Array.from({ length: 30 }, (_, n) => `while away ${n}`);
  for (const reason of reasons) {
    const { accessToken } = await workload.getAccessToken({ channelId: channel, reason });
    assert.equal(accessToken, before.accessToken);
  }
  // Neither a channel that this replica has never read, nor a workload that it has never let in.
  await assert.rejects(workload.getAccessToken({ channelId: unseen }), { code: 'STORE_UNAVAILABLE' });
  await assert.rejects(stranger.getAccessToken({ channelId: channel }), { code: 'STORE_UNAVAILABLE' });

  const folder = join(world.broker.dataDirectory, 'audit');
  const files = await readdir(folder);
  assert.ok(files.length > 0);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const file of files) {
    assert.equal((await stat(join(folder, file))).mode & 0o777, 0o600);
    assert.ok(!(await readFile(join(folder, file), 'utf8')).includes(before.accessToken));
  }
  const probe = await fetch(`${world.broker.operationsUrl}/readyz`);
  assert.deepEqual([probe.status, ((await probe.json()) as { status: string }).status], [200, 'degraded']);
  const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  // The thirty, and the stranger’s login.
  assert.match(metrics, /^token_broker_audit_spooled_records 31$/m);

  await postgres.start();
  await untilDrained(world);
  const recorded = await releases(world, channel);
  assert.deepEqual(
    recorded.map(({ facts }) => facts.reason),
    ['before', ...reasons],
  );
  assert.deepEqual(
    recorded.map(({ facts }) => facts.decision),
    [undefined, ...reasons.map(() => 'remembered')],
  );
  await workload.getAccessToken({ channelId: channel, reason: 'after' });
  const last = (await releases(world, channel)).at(-1);
  assert.deepEqual([last?.facts.reason, last?.facts.decision], ['after', undefined]);
});

test('a PostgreSQL that says nothing any more is waited for once, not by each reader', async (t) => {
  const postgres = await useOwnPostgres(t);
  const databaseUrl = await migratedDatabase(postgres.url('postgres'));
  const proxy = await useMuteProxy(t, databaseUrl);
  // So long that this test does not end in time where each reader waits for it.
  const settings = { BROKER_AUDIT_PATIENCE: '5s' };
  const world = await useWorld(t, { databaseUrl: proxy.url, settings });
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  await untilAllIsHeard(world);
  await workload.getAccessToken({ channelId: channel, reason: 'before' });

  proxy.silence();
  for (let n = 0; n < 15; n += 1) {
    await workload.getAccessToken({ channelId: channel, reason: `while silent ${n}` });
  }
  // Later connections are served: it comes back without a hand.
  await untilDrained(world);
  const store = createStore({ database: useConnection(t, databaseUrl) });
  const reasons = (await releases({ store }, channel)).map(({ facts }) => facts.reason);
  assert.deepEqual(reasons, ['before', ...Array.from({ length: 15 }, (_, n) => `while silent ${n}`)]);
});

test('what is remembered ends with the token, and nothing is refreshed without PostgreSQL', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(postgres.url('postgres')) });
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  await untilAllIsHeard(world);
  await workload.getAccessToken({ channelId: channel });
  await postgres.halt();
  world.google.advance(57 * minute);
  await workload.getAccessToken({ channelId: channel, minTtlSeconds: 600 });
  world.google.advance(3 * minute);
  await assert.rejects(workload.getAccessToken({ channelId: channel }), { code: 'STORE_UNAVAILABLE' });
  await postgres.start();
  await until('tokens are released again', () =>
    workload.getAccessToken({ channelId: channel }).then(
      () => true,
      () => false,
    ),
  );
});

test('an access that has ended is refused at once while PostgreSQL answers, although it was remembered', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(postgres.url('postgres')) });
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  await workload.getAccessToken({ channelId: channel });
  const { generation } = (await world.channel(channel)).grant ?? {};
  const change = { id: channel, from: 'active', to: 'suspended', reason: 'suspended_by_admin' } as const;
  const record = (await releases(world, channel))[0];
  assert.ok(record);
  await world.store.channels.changeState(
    { ...change, generation, at: new Date() },
    { ...record, action: 'channel.state' },
  );
  await assert.rejects(workload.getAccessToken({ channelId: channel }), { code: 'CHANNEL_SUSPENDED' });

  await postgres.halt();
  await assert.rejects(workload.getAccessToken({ channelId: channel }), { code: 'STORE_UNAVAILABLE' });
});

test('a release that can be recorded neither in PostgreSQL nor in the spool is refused', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(postgres.url('postgres')) });
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  await untilAllIsHeard(world);
  await workload.getAccessToken({ channelId: channel });

  // Root may write into a read-only folder: a file stands where the folder was.
  const folder = join(world.broker.dataDirectory, 'audit');
  await rename(folder, `${folder}.away`);
  await writeFile(folder, '');
  await chmod(folder, 0o400);
  await postgres.halt();
  await assert.rejects(workload.getAccessToken({ channelId: channel }), { code: 'AUDIT_UNAVAILABLE' });
  assert.equal((await fetch(`${world.broker.operationsUrl}/readyz`)).status, 503);

  await postgres.start();
  await until('tokens are released again', () =>
    workload.getAccessToken({ channelId: channel, reason: 'after' }).then(
      () => true,
      () => false,
    ),
  );
  assert.equal((await releases(world, channel)).at(-1)?.facts.reason, 'after');
  assert.equal((await fetch(`${world.broker.operationsUrl}/readyz`)).status, 200);
});
