import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createSigningSecrets } from '../../broker/vault/signing-secrets.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const hour = 3_600_000;
/** Beside the real time, by which Vault dates. */
let ahead = 0;
const clock = { now: () => new Date(Date.now() + ahead) };
const { kv } = vault.layout.mounts;
const secrets = createSigningSecrets({ vault: await vault.asBroker(), kv, clock, overlapMs: 24 * hour });
const whsec = (text: string) => `whsec_${Buffer.from(text).toString('base64')}`;
const current = async () => (await secrets.current()).map((secret) => secret.reveal());

test('the newest secret signs first, and the former one beside it while they overlap', async () => {
  await assert.rejects(secrets.current(), { code: 'SIGNING_SECRET_MISSING' });
  assert.equal(await secrets.replace(new Secret(whsec('one'))), undefined);
  assert.deepEqual(await current(), [whsec('one')]);

  const until = await secrets.replace(new Secret(whsec('two')));
  assert.ok(until && until.getTime() > Date.now() + 23 * hour);
  assert.deepEqual(await current(), [whsec('two'), whsec('one')]);
  await secrets.replace(new Secret(whsec('three')));
  assert.deepEqual(await current(), [whsec('three'), whsec('two')]);

  ahead = 25 * hour;
  assert.deepEqual(await current(), [whsec('three')]);
});

test('a secret that was put in by another replica is noticed within half a minute', async () => {
  const other = createSigningSecrets({ vault: await vault.asBroker(), kv, clock, overlapMs: 24 * hour });
  const [before] = await current();
  await other.replace(new Secret(whsec('four')));
  assert.deepEqual((await current())[0], before);
  ahead += 31_000;
  assert.deepEqual((await current())[0], whsec('four'));
});

test('of two who replace it at once, one hears that the other did', async () => {
  const both = await Promise.allSettled([
    secrets.replace(new Secret(whsec('a'))),
    secrets.replace(new Secret(whsec('b'))),
  ]);
  const refused = both.filter((result) => result.status === 'rejected');
  assert.ok(refused.length <= 1);
  for (const { reason } of refused) assert.equal(reason.code, 'STORE_CONFLICT');
});

test('a secret that was put in by hand, and with which nothing can be signed, is told as what it is', async () => {
  for (const wrong of ['whsec_', 'whsec_abc', 'whsec_not base64', 'secret']) {
    await (await vault.asBroker()).write(`${kv}/data/_notifications`, { data: { signing_secret: wrong } });
    ahead += 31_000;
    await assert.rejects(secrets.current(), { code: 'VAULT_UNAVAILABLE', detail: /signing_secret/ });
  }
});
