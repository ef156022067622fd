/** Vault's revocation lists: what is on them, whose they are, and that the broker may renew them and no more. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createRevocationLists } from '../../broker/vault/revocation-lists.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { brokerSpiffeId } from '../../vault-policies/layout.ts';
import { until } from '../support/poll.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { pki } = vault.layout.mounts;
const clock = { now: () => new Date() };
const broker = await vault.asBroker();
const lists = createRevocationLists({ vault: broker, pki, clock });
const authority = createCertificateAuthority({ vault: broker, pki });

async function issue(): Promise<string> {
  const { csrPem } = await createKeyAndCsr();
  const uriSan = brokerSpiffeId(vault.layout.trustDomain);
  return (await authority.signCertificate({ role: 'broker', csrPem, uriSan })).serial;
}

const serials = async () => (await lists.fetch()).flatMap((list) => list.serials);

test('a certificate that is revoked by its serial number is on the list at once, and no other', async () => {
  const [bad, good] = [await issue(), await issue()];
  assert.deepEqual(await serials(), []);
  await vault.operator.write(`${pki}/revoke`, { serial_number: bad });
  assert.deepEqual(await serials(), [bad]);
  assert.ok(!(await serials()).includes(good));
  const [list] = await lists.fetch();
  const life = (list?.nextUpdate?.getTime() ?? 0) - (list?.thisUpdate.getTime() ?? 0);
  assert.equal(life, 72 * 3_600_000);
});

test('a list that has not changed is not read anew', async () => {
  const [one, two] = [await lists.fetch(), await lists.fetch()];
  assert.equal(one[0], two[0]);
});

test('the broker has the list renewed, by its own login', async () => {
  const [before] = await lists.fetch();
  // Lists are dated to the second.
  await until('another second has begun', () => Date.now() > (before?.thisUpdate.getTime() ?? 0) + 1_100);
  await lists.renew();
  const [renewed] = await lists.fetch();
  assert.ok((renewed?.thisUpdate ?? 0) > (before?.thisUpdate ?? 0));
  assert.deepEqual(renewed?.serials, before?.serials);
});

test('each issuer of the mount has a list, and one signed by another is not believed', async () => {
  const own = await useSetUpVault({ after });
  const mount = own.layout.mounts.pki;
  const root = { common_name: 'second', key_type: 'ec', key_bits: 256 };
  await own.operator.write(`${mount}/root/generate/internal`, root);
  const asBroker = await own.asBroker();
  const both = createRevocationLists({ vault: asBroker, pki: mount, clock });
  const fetched = await both.fetch();
  assert.equal(new Set(fetched.map(({ issuer }) => issuer)).size, 2);

  const [first = '', second = ''] = fetched.map(({ issuer }) => issuer);
  const swapped = createRevocationLists({
    vault: { ...asBroker, find: (path, data, options) => asBroker.find(path.replace(first, second), data, options) },
    pki: mount,
    clock,
  });
  await assert.rejects(swapped.fetch(), { code: 'REVOCATIONS_UNKNOWN', message: /is not signed by it/ });
  const garbled = createRevocationLists({
    vault: { ...asBroker, find: async () => ({ crl: 'nonsense' }) as never },
    pki: mount,
    clock,
  });
  await assert.rejects(garbled.fetch(), { code: 'REVOCATIONS_UNKNOWN', message: /cannot be read/ });
});
