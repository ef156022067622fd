/** What a broker does where PostgreSQL goes away just as a delivery has ended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import pg from 'pg';
import { addDelivery } from '../../broker/store/delivery-jobs.ts';
import { createDeliveryWorker } from '../../broker/store/delivery-worker.ts';
import { useMuteProxy } from '../support/mute-proxy.ts';
import { until } from '../support/poll.ts';
import { adminUrlOf } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { useStore } from '../support/store.ts';

for (const outcome of ['well', 'badly'] as const) {
  test(`a database that goes away as a job ends ${outcome} stops neither the process nor later deliveries`, async (t) => {
    const { database, url } = await useStore(t);
    const datname = new URL(url).pathname.slice(1);
    const name = pg.escapeIdentifier(datname);
    const admin = new pg.Client(adminUrlOf(url));
    await admin.connect();
    atEnd(t, () => admin.end());
    const goAway = async () => {
      await admin.query(`alter database ${name} allow_connections false`);
      // Of this database alone: the brokers of other test files have deliveries on this server, too.
      await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like '% deliveries'",
        [datname],
      );
    };

    const tried: string[] = [];
    const faults: unknown[] = [];
    const failure = new Error('the delivery failed');
    const worker = createDeliveryWorker({ url, applicationName: 'test' }, { startAgainMs: 10 });
    const work = worker.work(
      async (id) => {
        tried.push(id);
        if (id !== 'first') return;
        await goAway();
        if (outcome === 'badly') throw failure;
      },
      { concurrency: 1, onFault: (error) => void faults.push(error) },
    );
    atEnd(t, () => work.stop());

    await database.run((db) => addDelivery(db, 'first', 0));
    await until('the worker has given up', () => faults.some((fault) => fault !== failure));
    await admin.query(`alter database ${name} allow_connections true`);
    await database.run((db) => addDelivery(db, 'second', 0));
    await until('the next one is delivered', () => tried.includes('second'));
    await until('it is marked as done', async () => {
      const left = await database.run((db) =>
        sql<{ key: string }>`select key from graphile_worker._private_jobs`.execute(db),
      );
      return left.rows.every(({ key }) => key !== 'second');
    });
    assert.deepEqual(tried, ['first', 'second']);
  });
}

test('a database that says nothing any more keeps nobody waiting who stops', async (t) => {
  const { database, url } = await useStore(t);
  const proxy = await useMuteProxy(t, url);
  const worker = createDeliveryWorker({ url: proxy.url, applicationName: 'test' }, { stopWithinMs: 100 });
  const tried: string[] = [];
  const work = worker.work(async (id) => void tried.push(id), { concurrency: 1, onFault: () => {} });
  await database.run((db) => addDelivery(db, 'first', 0));
  await until('it works', () => tried.includes('first'));
  proxy.silence();
  await work.stop();
});
