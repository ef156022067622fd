/** Records of releases on their way to PostgreSQL: in groups, past one that is refused, through the spool, once each. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { createDatabase } from '../../broker/store/database.ts';
import { createStore } from '../../broker/store/store.ts';
import { freePort } from '../../stack/free-port.ts';
import { until } from '../support/poll.ts';
import { startRecorder, type TestRecorder } from '../support/recorder.ts';
import { atEnd, type Scope, useFolder } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { aRecord, fill } from '../support/store-fixtures.ts';

/** A store whose PostgreSQL is not there. */
async function storeNowhere(scope: Scope) {
  const database = createDatabase({ url: await urlOfNothing(), applicationName: 'test' });
  atEnd(scope, () => database.close());
  return createStore({ database });
}

async function urlOfNothing(): Promise<string> {
  return `postgres://nobody@127.0.0.1:${await freePort()}/nothing`;
}

async function useRecorder(scope: Scope, given: Parameters<typeof startRecorder>[0]): Promise<TestRecorder> {
  const recorder = await startRecorder(given);
  atEnd(scope, recorder.stop);
  return recorder;
}

const release = (n: number) => aRecord('token.release', { requestId: `release-${n}`, facts: { n } });
const many = (count: number) => Array.from({ length: count }, (_, n) => release(n));

/** The facts `n` of the releases on record, oldest first. */
async function recorded({ store }: Pick<Awaited<ReturnType<typeof useStore>>, 'store'>) {
  const records = await store.audit.list({ limit: 100_000 });
  return records
    .filter(({ action }) => action === 'token.release')
    .map(({ facts }) => facts.n)
    .toReversed();
}

test('writes what arrives while a group is under way as the next group', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const recorder = await useRecorder(t, { store, directory: await useFolder(t), patienceMs: 30_000 });
  await Promise.all(many(2_500).map((record) => recorder.append(record)));
  assert.deepEqual(recorder.groups, { database: [1_000, 1_000, 500], spool: [] });
  assert.deepEqual(
    await recorded({ store }),
    many(2_500).map(({ facts }) => facts.n),
  );
});

test('answers nobody before their record is durable', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store);
  const recorder = await useRecorder(t, { store, directory: await useFolder(t), patienceMs: 30_000 });
  let answered = 0;
  let waiting: Promise<unknown> = Promise.resolve();
  await database.transaction(async (trx) => {
    // Whoever records waits for this row.
    await sql`select from audit_chains for update`.execute(trx);
    waiting = Promise.all(many(20).map((record) => recorder.append(record).then(() => (answered += 1))));
    // On another connection: within a transaction the view stays as it was first seen.
    await until('the group waits for the chain', async () => {
      const { rows } = await database.run((db) =>
        sql`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`.execute(db),
      );
      return rows.length > 0;
    });
    assert.equal(answered, 0);
  });
  await waiting;
  assert.equal(answered, 20);
  assert.equal((await recorded({ store })).length, 20);
});

test('answers from the spool only what is in its files', async (t) => {
  const directory = await useFolder(t);
  const recorder = await useRecorder(t, { store: await storeNowhere(t), directory });
  await Promise.all(
    many(300).map(async (record) => {
      await recorder.append(record);
      const texts = await Promise.all(
        (await readdir(directory)).map((file) => readFile(join(directory, file), 'utf8')),
      );
      assert.ok(texts.join('').includes(`"requestId":"${record.requestId}"`), record.requestId);
    }),
  );
  assert.ok(recorder.groups.spool.length < 300, 'each record was synced alone');
});

/** PostgreSQL knows no year 0. */
const unreadable = () => ({ ...aRecord('token.release'), at: new Date('0000-01-01T00:00:00Z') });

test('a record that the database refuses fails alone', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const recorder = await useRecorder(t, { store, directory: await useFolder(t), patienceMs: 30_000 });
  const bad = unreadable();
  const all = [...many(10), bad, ...many(20).slice(10)];
  const outcomes = await Promise.allSettled(all.map((record) => recorder.append(record)));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    all.map((record) => (record === bad ? 'rejected' : 'fulfilled')),
  );
  assert.deepEqual(
    await recorded({ store }),
    many(20).map(({ facts }) => facts.n),
  );
});

test('refuses where neither database nor spool can be written', async (t) => {
  const store = await storeNowhere(t);
  const full = await useRecorder(t, { store, directory: await useFolder(t), mostBytes: 2_000 });
  const outcomes = [];
  for (const record of many(20)) outcomes.push(await full.append(record).then(() => 'ok', codeOf));
  assert.equal(outcomes[0], 'ok');
  assert.equal(outcomes.at(-1), 'AUDIT_UNAVAILABLE');
  await assert.rejects(full.check(), { code: 'AUDIT_UNAVAILABLE' });
  assert.equal(full.spool.waiting().records, outcomes.filter((outcome) => outcome === 'ok').length);
});

test('a disk that takes no more refuses the whole group, and what it took of that is on no record', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);
  // The limit cuts a write off in the middle, as a full disk does.
  const { child, lines } = startProcess(t, await urlOfNothing(), directory, 'fill', 'ulimit -f 4');
  const [ended, said] = await Promise.all([once(child, 'exit'), Array.fromAsync(lines)]);
  assert.deepEqual(ended, [0, null]);
  const answered = said.flatMap((line) => (line.startsWith('answered ') ? [line.slice('answered '.length)] : []));
  assert.equal(said.filter((line) => line.startsWith('AUDIT_UNAVAILABLE ')).length, 5 * 3);
  assert.ok(answered.length > 5, 'a file was given up before it was full');

  const next = await useRecorder(t, { store, directory, patienceMs: 30_000 });
  next.start();
  await until('the spool is empty', () => next.spool.isEmpty());
  const records = await store.audit.list({ limit: 1_000 });
  const releases = records.filter(({ action }) => action === 'token.release').toReversed();
  assert.deepEqual(
    releases.map(({ requestId }) => requestId),
    answered,
  );
  assert.deepEqual(await readdir(directory), [], 'something was set aside');
});

test('a disk that cannot be written refuses each record until it can be again', async (t) => {
  const directory = await useFolder(t);
  const recorder = await useRecorder(t, { store: await storeNowhere(t), directory });
  const away = `${directory}-away`;
  await rename(directory, away);
  await writeFile(directory, '');
  await assert.rejects(recorder.append(release(0)), { code: 'AUDIT_UNAVAILABLE' });
  await assert.rejects(recorder.check(), { code: 'AUDIT_UNAVAILABLE' });
  await rm(directory);
  await rename(away, directory);
  await recorder.append(release(1));
  await recorder.check();
  assert.equal(recorder.spool.waiting().records, 1);
});

test('drains what an earlier process has left, without its torn last line, and sets a refused record aside', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);
  const before = await startRecorder({ store: await storeNowhere(t), directory });
  for (const record of many(5)) await before.append(record);
  const bad = unreadable();
  await before.append(bad);
  await before.append(release(5));
  await before.stop();
  const [file = ''] = await readdir(directory);
  await appendFile(join(directory, file), '{"at":"2026-03-01T12:00:00.000Z","action":"token.rel');

  const after = await useRecorder(t, { store, directory, patienceMs: 30_000 });
  after.start();
  await until('the spool is empty', () => after.spool.isEmpty());
  assert.deepEqual(await recorded({ store }), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(await readdir(directory), ['refused.txt']);
  assert.ok((await readFile(join(directory, 'refused.txt'), 'utf8')).includes(bad.requestId));
  assert.equal(after.faults.length, 1);
});

test('a database that says nothing is waited for once, not for each record', async (t) => {
  const { store } = await useStore(t);
  let asked = 0;
  const mute = {
    ...store,
    audit: {
      ...store.audit,
      appendAll: async () => {
        asked += 1;
        await new Promise(() => {});
      },
    },
    // The probe is answered when the test ends.
    check: () => new Promise<void>((resolve) => atEnd(t, () => resolve())),
  };
  const recorder = await startRecorder({ store: mute, directory: await useFolder(t), patienceMs: 20 });
  for (const record of many(5)) await recorder.append(record);
  assert.equal(asked, 1);
  assert.equal(recorder.spool.waiting().records, 5);
});

test('while anything waits in the spool, what is new goes behind it', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);
  const before = await startRecorder({ store: await storeNowhere(t), directory });
  for (const record of many(3)) await before.append(record);
  await before.stop();

  const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const asked: unknown[] = [];
  const slow = {
    ...store,
    audit: {
      ...store.audit,
      appendAll: async (records: Parameters<typeof store.audit.appendAll>[0]) => {
        asked.push(records.map(({ record }) => record.facts.n));
        reached.resolve();
        await released.promise;
        await store.audit.appendAll(records);
      },
    },
  };
  const next = await useRecorder(t, { store: slow, directory, patienceMs: 30_000 });
  next.start();
  await reached.promise;
  await next.append(release(3));
  assert.deepEqual([next.groups, asked], [{ database: [], spool: [1] }, [[0, 1, 2]]]);
  released.resolve();
  await until('the spool is empty', () => next.spool.isEmpty());
  assert.deepEqual(await recorded({ store }), [0, 1, 2, 3]);
});

test('a file of the spool is for its owner only, and another is begun when it is large', async (t) => {
  const directory = await useFolder(t);
  const recorder = await useRecorder(t, { store: await storeNowhere(t), directory });
  const large = 'x'.repeat(2 ** 20);
  for (let n = 0; n < 6; n += 1) {
    await recorder.append(aRecord('token.release', { requestId: `large-${n}`, facts: { large } }));
  }
  const files = await readdir(directory);
  assert.equal(files.length, 2);
  for (const file of files) assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600);
});

test('writes once what was written although nobody heard of it', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);
  // The answer gets lost after the commit.
  const deaf = {
    ...store,
    audit: { ...store.audit, appendAll: lost(store.audit.appendAll) },
    check: () => lost(store.check)(),
  };
  const recorder = await useRecorder(t, { store: deaf, directory });
  for (const record of many(3)) await recorder.append(record);
  assert.deepEqual(recorder.groups.database, []);
  assert.equal(recorder.spool.waiting().records, 3);
  assert.deepEqual(await recorded({ store }), [0]);

  const next = await useRecorder(t, { store, directory, patienceMs: 30_000 });
  next.start();
  await until('the spool is empty', () => next.spool.isEmpty());
  assert.deepEqual(await recorded({ store }), [0, 1, 2]);
});

test('two processes on one directory lose nothing and write nothing twice', async (t) => {
  const { store } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);
  const one = await useRecorder(t, { store: await storeNowhere(t), directory });
  await Promise.all(many(100).map((record) => one.append(record)));
  // Takes the other's file over, although that is alive.
  const two = await useRecorder(t, { store, directory, patienceMs: 30_000 });
  two.start();
  for (const record of many(200).slice(100)) await one.append(record);
  await until('the spool is empty', () => two.spool.isEmpty());
  const three = await useRecorder(t, { store, directory, patienceMs: 30_000 });
  three.start();
  await until('the spool is empty', () => three.spool.isEmpty());
  const numbers = await recorded({ store });
  assert.deepEqual(
    numbers,
    many(200).map(({ facts }) => facts.n),
  );
});

test('killed while it appends and again and again while it drains, it has each answered record once, in order', async (t) => {
  const { store, url } = await useStore(t);
  await fill(store);
  const directory = await useFolder(t);

  const appending = startProcess(t, await urlOfNothing(), directory, 'append');
  const answered: string[] = [];
  for await (const line of appending.lines) {
    if (line.startsWith('answered ')) answered.push(line.slice('answered '.length));
    if (answered.length === 300) appending.child.kill('SIGKILL');
  }
  // Enough for several groups; the process above syncs each record alone.
  const more = many(4_000).map((record) => `${JSON.stringify(record)}\n`);
  await writeFile(join(directory, '999999999999999-more.jsonl'), more.join(''), { mode: 0o600 });

  let kills = 0;
  for (let empty = false; !empty; ) {
    const draining = startProcess(t, url, directory, 'drain');
    let isHeardOf = false;
    // One that gets nowhere says nothing more, and the test would wait for ever.
    const patience = setTimeout(() => draining.child.kill('SIGKILL'), 60_000);
    for await (const line of draining.lines) {
      // Written, and not yet taken off the spool.
      if (kills < 4 && line === 'group database') {
        draining.child.kill('SIGKILL');
        kills += 1;
        isHeardOf = true;
        break;
      }
      if (line === 'empty') {
        empty = true;
        break;
      }
    }
    clearTimeout(patience);
    draining.child.kill('SIGKILL');
    await draining.ended;
    assert.ok(isHeardOf || empty, 'the drain stands still');
  }
  assert.equal(kills, 4);
  const ids = (await store.audit.list({ limit: 100_000 }))
    .filter(({ action }) => action === 'token.release')
    .map(({ requestId }) => requestId)
    .toReversed();
  assert.equal(new Set(ids).size, ids.length, 'a record is there twice');
  const appended = ids.filter((id) => !id.startsWith('release-'));
  assert.deepEqual(appended.slice(0, answered.length), answered);
  assert.deepEqual(
    ids.filter((id) => id.startsWith('release-')),
    many(4_000).map(({ requestId }) => requestId),
  );
});

/** @param first what the shell does before it becomes the process. */
function startProcess(t: TestContext, url: string, directory: string, task: string, first = ':') {
  const program = fileURLToPath(new URL('../support/recorder-process.ts', import.meta.url));
  const given = [process.execPath, program, url, directory, task];
  const child: ChildProcess = spawn('sh', ['-c', `${first} && exec "$@"`, 'sh', ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  atEnd(t, async () => {
    child.kill('SIGKILL');
    await ended;
  });
  assert.ok(child.stdout);
  return { child, ended, lines: createInterface({ input: child.stdout }) };
}

/** Does it, and never says so. */
function lost<A extends unknown[]>(step: (...given: A) => Promise<unknown>): (...given: A) => Promise<void> {
  return async (...given) => {
    await step(...given);
    await new Promise(() => {});
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
