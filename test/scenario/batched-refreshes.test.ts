/** A batch of refreshes costs Vault a few requests: decryptions and DPoP signatures of a batch go together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { aRecord } from '../support/store-fixtures.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const wanted = 100;

/** Gives the world channels whose grants come straight from the practice Google. */
async function addGrants(world: World, count: number, dpopKeyVersion: number | undefined): Promise<readonly string[]> {
  const template = await world.channel(await world.connectedChannel());
  const keys = createTenantKeys({ vault: world.vault.operator, transit: world.vault.layout.mounts.transit });
  const ids: string[] = [];
  // One after the other: a hundred writers at once would wait for connections of the pool.
  for (let index = 0; index < count; index += 1) {
    const id = `ch_${String(index).padStart(26, '0')}`;
    const { refreshToken } = world.google.grant({
      clientId: 'client-1.apps.example',
      account: `owner-${index % 10}@example.com`,
      scope: template.requestedScopes.join(' '),
    });
    const grant = template.grant && {
      ...template.grant,
      refreshTokenEncrypted: await keys.encrypt({ tenant, channel: id, generation: 1 }, new Secret(refreshToken)),
      refreshTokenHash: id,
      dpopKeyVersion,
      refreshDueAt: new Date(world.google.now()),
    };
    await world.store.channels.create({ ...template, id, name: `c${index}`, grant }, aRecord('channel.add'));
    ids.push(id);
  }
  return ids;
}

test('a hundred due refreshes of one tenant take a few requests to transit', async (t) => {
  const vault = await useSetUpVault(t);
  const front = await useVaultFront(t, vault.address);
  const world = await useWorld(t, {
    vault,
    dpop: true,
    client: { dpop: 'optional' },
    // An OAuth client that has not answered yet is given an eighth of the places: here all hundred begin together.
    settings: { VAULT_ADDR: front.address, BROKER_REFRESH_CONCURRENCY: String(8 * wanted) },
  });
  for (let index = 0; index < 10; index += 1) {
    const channels = [{ id: `UC${index}`, title: `Channel ${index}`, kind: 'personal' as const }];
    world.google.addAccount({ email: `owner-${index}@example.com`, channels });
  }
  const ids = await addGrants(world, wanted, 1);
  world.google.counts.reset();
  const before = front.requests.length;
  world.google.advance(hour);
  await world.broker.refreshDue();

  for (const id of ids) assert.equal((await world.channel(id)).grant?.lastFailure, undefined);
  const lines = front.requests.slice(before);
  const count = (part: RegExp) => lines.filter((line) => part.test(line)).length;
  const decrypts = count(/\/decrypt\/tenant-/);
  const signs = count(/\/sign\/dpop-/);
  const proofs = world.google.counts.requests({ endpoint: 'token', grantType: 'refresh_token' });
  t.diagnostic(`${ids.length} refreshes: ${decrypts} decrypt requests, ${signs} sign requests for ${proofs} proofs`);
  assert.ok(proofs >= wanted);
  assert.ok(decrypts <= wanted / 10, `${decrypts} decrypt requests`);
  assert.ok(signs <= proofs / 5, `${signs} sign requests for ${proofs} proofs`);
  assert.equal(count(/^GET .*\/keys\/dpop-/), 0, 'the public half was read for the consent already');
});
