import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startProcess } from '../../stack/process.ts';
import { startVault } from '../../stack/vault.ts';
import { isListening } from '../support/loopback.ts';
import { until } from '../support/poll.ts';
import { useDatabase, useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { useOwnVault } from '../support/vault.ts';

const portOf = (url: string) => Number(new URL(url).port);

test('a Vault can be sealed and unsealed, and says which product it is', async (t) => {
  const vault = await useOwnVault(t);
  const health = async () => (await fetch(`${vault.address}/v1/sys/health`)).status;
  assert.match(vault.product, /^(OpenBao|Vault) \d+\.\d+\.\d+/);
  assert.equal(await health(), 200);
  await vault.seal();
  assert.equal(await health(), 503);
  await vault.unseal();
  assert.equal(await health(), 200);
  await vault.stop();
  assert.equal(await isListening(portOf(vault.address)), false);
});

test('nothing of the environment for Vault reaches a Vault of our own', async (t) => {
  const directory = await useFolder(t);
  const foreign = { VAULT_TOKEN: 'x', BAO_ADDR: 'http://127.0.0.1:1', HTTPS_PROXY: 'http://127.0.0.1:1' };
  const vault = await startVault({ directory, env: { ...process.env, ...foreign } });
  atEnd(t, vault.stop);
  assert.match(await readFile(join(directory, 'vault.log'), 'utf8'), /Environment Variables: HOME, PATH\n/);
});

test('a Redis comes back empty on its port, asks for its password, and can be held still', async (t) => {
  const redis = await useRedis(t, { password: 'open sesame' });
  const port = portOf(redis.url);
  assert.match(await ask(port, 'PING'), /NOAUTH/);
  const ping = 'AUTH "open sesame"\r\nPING';
  assert.match(await ask(port, ping), /PONG/);

  redis.pause();
  let answered = false;
  const answer = ask(port, ping).finally(() => {
    answered = true;
  });
  // More than long enough for an answer, were there one: the operating system accepts in its stead.
  for (let other = 0; other < 100; other += 1) assert.equal(await isListening(port), true);
  assert.equal(answered, false);
  redis.resume();
  assert.match(await answer, /PONG/);

  await redis.stop();
  assert.equal(await isListening(port), false);
  await redis.start();
  assert.match(await ask(port, ping), /PONG/);
});

test('a PostgreSQL comes back on its port with its data, and leaves nothing when stopped', async (t) => {
  const postgres = await useOwnPostgres(t);
  const url = postgres.url('postgres');
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const [settings] = await query(url, "SELECT current_setting('data_directory') AS folder");
  await postgres.halt();
  assert.equal(await isListening(portOf(url)), false);
  await postgres.start();
  assert.deepEqual(await query(url, 'SELECT answer FROM kept'), [{ answer: 42 }]);
  await postgres.stop();
  assert.equal(existsSync(String(settings?.folder)), false);
});

test('a template is prepared once, however many databases are made from it at the same time', async (t) => {
  let prepared = 0;
  const template = {
    name: 'stack_servers_template',
    prepare: async (url: string) => {
      prepared += 1;
      await query(url, 'CREATE TABLE filled AS SELECT 1 AS one');
    },
  };
  // All on one server, also where this file is run alone.
  process.env.TEST_DATABASE_ADMIN_URL ??= (await useOwnPostgres(t)).url('postgres');
  const urls = await Promise.all([1, 2, 3].map(() => useDatabase(t, template)));
  assert.equal(new Set(urls).size, 3);
  for (const url of urls) assert.deepEqual(await query(url, 'SELECT one FROM filled'), [{ one: 1 }]);
  assert.equal(prepared, 1);
});

test('a server that does not come up is reported with its last words', async (t) => {
  const server = startProcess({
    name: 'the server',
    command: process.execPath,
    args: ['-e', 'console.error("the disk is made of cheese"); process.exit(3)'],
    env: {},
    logFile: join(await useFolder(t), 'log'),
  });
  await assert.rejects(server.line(/ready/, 10_000), /the server ended \(exit code 3\).*made of cheese/s);
  await server.stop();
});

test('a server that does not heed the signal to stop is made to', async (t) => {
  const server = startProcess({
    name: 'the server',
    command: process.execPath,
    args: ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1e6); console.log("ready")'],
    env: {},
    stopWithin: 50,
    logFile: join(await useFolder(t), 'log'),
  });
  await server.line(/ready/, 10_000);
  await server.stop();
  assert.equal(await server.ended, 'SIGKILL');
});

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  test(`no server outlives a parent that ends by ${signal}`, async (t) => {
    const parent = spawn(process.execPath, [fileURLToPath(new URL('stack-parent.ts', import.meta.url))], {
      env: { ...process.env, LOG_FOLDER: await useFolder(t) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => parent.once('close', resolve));
    atEnd(t, () => parent.kill('SIGKILL'));
    const [line] = await once(createInterface(parent.stdout), 'line');
    const ports: number[] = JSON.parse(String(line));
    assert.equal(ports.length, 3);
    for (const port of ports) assert.equal(await isListening(port), true);
    parent.kill(signal);
    await ended;
    for (const port of ports) await until(`nothing listens on ${port}`, async () => !(await isListening(port)));
  });
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Sends inline commands to Redis and resolves with all that comes back before it closes. */
function ask(port: number, commands: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${commands}\r\nQUIT\r\n`));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.once('end', () => resolve(answer)).once('error', reject);
  });
}
