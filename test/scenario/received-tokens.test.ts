/**
 * A refresh token that Google has given is never lost: not where PostgreSQL is killed between Google's answer and our
 * write, not where the process is killed then, too, and not where it replaces another one.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startServerProcess } from '../../broker/store/embedded/server-process.ts';
import { brokerEnvironment } from '../support/broker.ts';
import { compiledModules } from '../support/compiled.ts';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { until } from '../support/poll.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { atEnd } from '../support/scope.ts';
import { migratedDatabase } from '../support/store.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { owner, useWorld, type World } from '../support/world.ts';

const brokerMain = join(import.meta.dirname, '../../broker/main.ts');
const hour = 3_600_000;

/** The files of tokens that are wholly on disk. */
async function kept(dataDirectory: string): Promise<readonly string[]> {
  return (await readdir(join(dataDirectory, 'received'))).filter((name) => !name.endsWith('.part'));
}

/** An hour later, lets the broker refresh, and does `during` while Google holds back its answer with the new tokens. */
async function refreshDuring(world: World, during: () => Promise<void>): Promise<void> {
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: { endpoint: 'token' }, when: 'after' });
  world.google.counts.reset();
  world.google.advance(hour);
  // Where its database goes away meanwhile, the look fails at once, and the refresh goes on.
  const refreshed = world.broker.refreshDue().catch(() => undefined);
  await world.google.counts.arrival({ endpoint: 'token' });
  await during();
  held.clear();
  await refreshed;
}

async function startBrokerProcess(t: TestContext, env: Record<string, string>) {
  const broker = startServerProcess({
    name: 'the broker',
    command: process.execPath,
    args: [brokerMain, 'serve'],
    env: { ...compiledModules(), ...env },
    cwd: env.BROKER_DATA_DIR ?? '.',
    log: () => {},
  });
  atEnd(t, () => broker.stop());
  await broker.line(/"msg":"broker serves"/, 60_000);
  return broker;
}

test('PostgreSQL and then the broker are killed between Google’s answer and our write: the next start completes the consent', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(postgres.url('postgres')) });
  const { id, consentLink } = await world.addChannel();
  await world.broker.stop();
  const environment = await brokerEnvironment(t, world);
  const { BROKER_PUBLIC_URL: publicUrl, BROKER_DATA_DIR: dataDirectory = '' } = environment;
  world.google.updateClient('client-1.apps.example', { redirectUris: [`${publicUrl}/oauth2/callback`] });
  const killed = await startBrokerProcess(t, environment);

  const browser = createOwnerBrowser();
  const request = await browser.start(`${publicUrl}${new URL(consentLink).pathname}`);
  const callback = await world.google.consent(request, { account: owner.account });
  world.google.counts.reset();
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: { endpoint: 'token' }, when: 'after' });
  const answer = browser.open(callback).catch(() => 'the broker is gone');
  await world.google.counts.arrival({ endpoint: 'token' });
  await postgres.halt();
  held.clear();
  await until('the token is on disk', async () => (await kept(dataDirectory)).length === 1);
  assert.ok(killed.pid);
  process.kill(killed.pid, 'SIGKILL');
  assert.equal(await answer, 'the broker is gone');

  await postgres.start();
  assert.equal((await world.channel(id)).state, 'pending_consent');
  await startBrokerProcess(t, environment);
  await until('the channel is active', async () => (await world.channel(id)).state === 'active');
  assert.deepEqual(await readdir(join(dataDirectory, 'received')), []);
  const records = await world.store.audit.list({ channel: id, limit: 20 });
  const received = records.filter(({ action }) => action === 'consent.receive');
  assert.deepEqual(
    received.map(({ callerKind, ip }) => [callerKind, ip]),
    [['owner', '127.0.0.1']],
    'who consented, and from where, is not on record once',
  );
});

test('PostgreSQL is gone when a refresh brings a new refresh token: the new one is used ever after', async (t) => {
  const postgres = await useOwnPostgres(t);
  const world = await useWorld(t, {
    databaseUrl: await migratedDatabase(postgres.url('postgres')),
    client: { rotateRefreshTokens: true },
  });
  const id = await world.connectedChannel();
  const first = (await world.channel(id)).grant?.refreshTokenHash;
  await refreshDuring(world, () => postgres.halt());
  await until('the new token is on disk', async () => (await kept(world.broker.dataDirectory)).length === 1);

  await postgres.start();
  await until('the new token is stored', async () => (await world.channel(id)).grant?.refreshTokenHash !== first);
  world.google.advance(hour);
  await world.broker.refreshDue();
  const { state, grant } = await world.channel(id);
  assert.equal(state, 'active');
  assert.equal(grant?.refreshFailures, 0);
  assert.deepEqual(await readdir(join(world.broker.dataDirectory, 'received')), []);
});

test('Vault is sealed when a refresh brings a new refresh token: it is asked for nothing until that is stored', async (t) => {
  const server = await useOwnVault(t);
  const world = await useWorld(t, {
    vault: await useSetUpVault(t, server),
    client: { rotateRefreshTokens: true },
  });
  const id = await world.connectedChannel();
  const first = (await world.channel(id)).grant?.refreshTokenHash;
  await refreshDuring(world, () => server.seal());
  assert.equal((await world.channel(id)).grant?.refreshTokenHash, first);
  world.google.counts.reset();
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0, 'the token that is void was used again');

  await server.unseal();
  await world.broker.refreshDue();
  assert.notEqual((await world.channel(id)).grant?.refreshTokenHash, first);
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).state, 'active');
});

test('the checks of a consent bring a new refresh token: it is that one which becomes the channel’s', async (t) => {
  const world = await useWorld(t, { client: { rotateRefreshTokens: true } });
  const fault = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  const { id, consentLink } = await world.addChannel();
  await world.consent(consentLink);
  assert.equal((await world.channel(id)).state, 'pending_consent');
  assert.deepEqual(await readdir(join(world.broker.dataDirectory, 'received')), [], 'what is stored stays on disk');
  fault.clear();
  world.google.advance(60_000);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).state, 'active');
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).grant?.refreshFailures, 0);
  assert.equal((await world.channel(id)).state, 'active');
});

test('while a newer refresh token cannot be stored, the one that it replaced is not used', async (t) => {
  const postgres = await useOwnPostgres(t);
  const databaseUrl = await migratedDatabase(postgres.url('postgres'));
  const world = await useWorld(t, { databaseUrl, client: { rotateRefreshTokens: true } });
  const id = await world.connectedChannel();
  await refreshDuring(world, () => postgres.halt());
  await until('the new token is on disk', async () => (await kept(world.broker.dataDirectory)).length === 1);
  const [name = ''] = await kept(world.broker.dataDirectory);
  const file = join(world.broker.dataDirectory, 'received', name);
  const text = await readFile(file, 'utf8');
  // A disk that gives back something else: the token cannot be opened, and is not thrown away.
  await writeFile(file, text.replace('"ciphertext":"', '"ciphertext":"AAAA'));

  await postgres.start();
  world.google.counts.reset();
  world.google.advance(hour);
  await until('the broker has looked', async () => (await world.broker.refreshDue().catch(() => 0)) > 0);
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);
  assert.equal((await world.channel(id)).state, 'active');

  await writeFile(file, text);
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).grant?.refreshFailures, 0);
  assert.deepEqual(await kept(world.broker.dataDirectory), []);
});
