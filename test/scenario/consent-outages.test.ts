/**
 * Our own stores fail at the worst moment of a consent: Google has answered with a refresh token, and it cannot be
 * encrypted or written. The owner is told kindly, nothing half-done stays, and the same link works afterwards.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOwnerBrowser } from '../support/owner-browser.ts';
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
  world.google.faults.add({ fault: { kind: 'latency', ms: 1_000 }, where: { endpoint: 'token' }, when: 'after' });
  const finished = browser.open(callback);
  await world.google.counts.arrival({ endpoint: 'token' });
  await during();
  return finished;
}

test('Vault is sealed at the moment of encryption: the owner is told, nothing is stored, the link works afterwards', async (t) => {
  const server = await useOwnVault(t);
  const world = await useWorld(t, { vault: await useSetUpVault(t, server) });
  const { id, consentLink } = await world.addChannel();

  const page = await consentWith(world, consentLink, () => server.seal());
  assert.match(page.text, /could not lock your permission away/);
  const channel = await world.channel(id);
  assert.deepEqual([channel.state, channel.grant], ['pending_consent', undefined]);
  const [record] = await world.store.audit.list({ channel: id, limit: 1 });
  assert.equal(record?.result, 'CONSENT_FAILED');
  assert.equal(record?.facts.failure, 'vault_unavailable');
  assert.match(String(record?.facts.lost), /^[0-9a-f]{16}$/);

  await server.unseal();
  await world.consent(consentLink);
  assert.equal((await world.channel(id)).state, 'active');
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

test('PostgreSQL is gone at the moment of writing: the owner is told, and the link works when it is back', async (t) => {
  const server = await useOwnPostgres(t);
  const world = await useWorld(t, { databaseUrl: await migratedDatabase(server.url('postgres')) });
  const { id, consentLink } = await world.addChannel();

  const page = await consentWith(world, consentLink, () => server.halt());
  assert.match(page.text, /having trouble/);
  assert.ok(
    world.broker.log.some((line) => line.includes('STORE_UNAVAILABLE')),
    'the operator is not told',
  );

  await server.start();
  const actions = (await world.store.audit.list({ channel: id, limit: 10 })).map(({ action }) => action);
  assert.deepEqual(
    actions,
    ['consent.begin', 'consent.invite', 'channel.add'],
    'nothing is claimed that did not happen',
  );
  const channel = await world.channel(id);
  assert.deepEqual([channel.state, channel.grant], ['pending_consent', undefined]);
  await world.consent(consentLink);
  assert.equal((await world.channel(id)).state, 'active');
});
