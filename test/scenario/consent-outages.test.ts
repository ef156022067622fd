/**
 * Our own stores fail at the worst moment of a consent: Google has answered with a refresh token, and it cannot be
 * encrypted by Vault or written to PostgreSQL. It is on this replica's disk by then, and nothing is lost.
 */
import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { until } from '../support/poll.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { migratedDatabase } from '../support/store.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { owner, useWorld, type World } from '../support/world.ts';

/** Starts the consent, does `during` while Google holds back its answer with the tokens, and answers the last page. */
async function consentWith(world: World, consentLink: string, during: () => Promise<void>) {
  const browser = createOwnerBrowser();
  const callback = await world.google.consent(await browser.start(consentLink), { account: owner.account });
  world.google.counts.reset();
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: { endpoint: 'token' }, when: 'after' });
  const finished = browser.open(callback);
  await world.google.counts.arrival({ endpoint: 'token' });
  await during();
  held.clear();
  return finished;
}

test('Vault is sealed at the moment of encryption: the token is kept, and the consent completes without the owner', async (t) => {
  const server = await useOwnVault(t);
  const world = await useWorld(t, { vault: await useSetUpVault(t, server) });
  const { id, consentLink } = await world.addChannel();

  const page = await consentWith(world, consentLink, () => server.seal());
  assert.match(page.text, /safely kept/);
  assert.equal((await world.channel(id)).state, 'pending_consent');
  assert.equal(await spooled(world), 1);

  await server.unseal();
  await world.broker.refreshDue();
  await completes(world, id);
});

test('Vault is sealed before the callback: the code is not redeemed, so nothing is lost', async (t) => {
  const server = await useOwnVault(t);
  const world = await useWorld(t, { vault: await useSetUpVault(t, server) });
  const { id, consentLink } = await world.addChannel();
  const browser = createOwnerBrowser();
  const callback = await world.google.consent(await browser.start(consentLink), { account: owner.account });
  world.google.counts.reset();

  await server.seal();
  const page = await browser.open(callback);
  assert.match(page.text, /could not lock your permission away/);
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);
  assert.equal((await world.channel(id)).state, 'pending_consent');
});

test('PostgreSQL is gone at the moment of writing: the token is kept, and the consent completes without the owner', async (t) => {
  const server = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(server.url('postgres')) });
  const { id, consentLink } = await world.addChannel();

  const page = await consentWith(world, consentLink, () => server.halt());
  assert.match(page.text, /safely kept/);
  assert.equal(await spooled(world), 1);

  await server.start();
  await world.broker.refreshDue();
  await completes(world, id);
});

test('PostgreSQL is gone and the disk is full: the owner is told, nothing is claimed, the link works afterwards', async (t) => {
  const server = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: server.url('postgres') });
  const { id, consentLink } = await world.addChannel();
  const page = await consentWith(world, consentLink, async () => {
    await rm(join(world.broker.dataDirectory, 'received'), { recursive: true });
    await server.halt();
  });
  assert.match(page.text, /having trouble/);
  assert.ok(
    world.broker.log.some((line) => line.includes('the spool of refresh tokens cannot be written')),
    'the operator is not told',
  );

  await server.start();
  const actions = (await world.store.audit.list({ channel: id, limit: 10 })).map(({ action }) => action);
  assert.deepEqual(
    actions,
    ['consent.begin', 'consent.invite', 'channel.add'],
    'something is claimed that did not happen',
  );
  await world.consent(consentLink);
  assert.equal((await world.channel(id)).state, 'active');
});

/** As the operator sees it. */
async function spooled(world: World): Promise<number> {
  const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  return Number(/^token_broker_spooled_refresh_tokens (\d+)$/m.exec(metrics)?.[1]);
}

async function completes(world: World, id: string): Promise<void> {
  await until('the channel is active', async () => (await world.channel(id)).state === 'active');
  const records = await world.store.audit.list({ channel: id, limit: 20 });
  const received = records.filter(({ action }) => action === 'consent.receive');
  assert.equal(received.length, 1);
  assert.equal(received[0]?.callerKind, 'owner');
  assert.equal(await spooled(world), 0);
  assert.deepEqual(await readdir(join(world.broker.dataDirectory, 'received')), []);
}
