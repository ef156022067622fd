/** An OAuth client's secret is replaced at Google and in Vault, in either order, while tokens go on being refreshed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oauthClient, useWorld } from '../support/world.ts';

const hour = 3_600_000;

test('a secret that is new in Vault and not yet at Google stops nothing', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const before = (await world.channel(id)).grant?.lastRefreshAt;
  const { kv } = world.vault.layout.mounts;
  // As `vault kv put … client_secret=-` stores what an editor ended with a line end.
  await world.vault.operator.write(`${kv}/data/${oauthClient}`, { data: { client_secret: 'client-secret-2\n' } });

  world.google.advance(hour);
  await world.broker.refreshDue();
  const during = (await world.channel(id)).grant;
  assert.equal(during?.lastFailure, undefined);
  assert.ok(before && during?.lastRefreshAt && during.lastRefreshAt > before);

  world.google.updateClient('client-1.apps.example', { clientSecret: 'client-secret-2' });
  world.google.counts.reset();
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).grant?.lastFailure, undefined);
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 1, 'the new secret is tried first');
});
