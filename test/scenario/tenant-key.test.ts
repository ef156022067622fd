/** The life of a tenant's key, with the product running on it: rotated, noticed, rewrapped, its minimum raised. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import type { TenantKeyAnswer } from '../../broker/http/api/schemas.ts';
import { useBroker } from '../support/broker.ts';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { tenant, useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const keyPath = `/v1/tenants/${tenant}/key`;
const look = (world: World) => world.api<TenantKeyAnswer>('GET', keyPath);
const transitKey = (world: World) => `${world.vault.layout.mounts.transit}/keys/tenant-${tenant}`;

/** Lets the channel's token come due, the scheduler run, and answers whether it brought a new token. */
async function refreshes(world: World, id: string): Promise<boolean> {
  const before = (await world.channel(id)).grant?.lastRefreshAt;
  world.google.advance(hour);
  await world.broker.refreshDue();
  const { grant, state } = await world.channel(id);
  return state === 'active' && grant?.lastFailure === undefined && grant?.lastRefreshAt !== before;
}

async function acts(world: World): Promise<readonly string[]> {
  const records = await world.store.audit.list({ tenant, limit: 100 });
  return records
    .filter(({ action }) => action.startsWith('tenant.key-') && action !== 'tenant.key-status')
    .map(
      ({ action, result, facts }) =>
        `${action} ${result} ${JSON.stringify(Object.fromEntries(Object.entries(facts).sort()))}`,
    )
    .toReversed();
}

test('a key rotated by Vault’s own tools is noticed, and every row moves, also of consents; then the minimum is raised', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const other = await world.addChannel('other');
  await createOwnerBrowser().start(other.consentLink);
  assert.deepEqual(await look(world).then(({ rows, rows_to_rewrap }) => [rows, rows_to_rewrap]), [2, 0]);
  const old = (await world.channel(id)).grant?.refreshTokenEncrypted ?? '';
  await world.broker.keepKeysDue();

  await world.vault.operator.write(`${transitKey(world)}/rotate`, {});
  const rotated = await look(world);
  const { newest_version, rows_to_rewrap, percent, safe_min_version } = rotated;
  assert.deepEqual([newest_version, rows_to_rewrap, percent, safe_min_version], [2, 2, 0, null]);
  assert.ok(await refreshes(world, id));
  await assert.rejects(world.api('POST', `${keyPath}/min-version`, {}), /409.*KEY_VERSION_IN_USE.*2 rows need/);
  assert.equal((await look(world)).min_version, 1);

  await world.broker.keepKeysDue();
  const moved = await look(world);
  assert.deepEqual([moved.rows_to_rewrap, moved.percent, moved.safe_min_version], [0, 100, 2]);
  assert.deepEqual(
    moved.versions.map(({ version, rows }) => [version, rows]),
    [
      [1, 0],
      [2, 2],
    ],
  );
  assert.match((await world.channel(id)).grant?.refreshTokenEncrypted ?? '', /^vault:v2:/);
  assert.ok(await refreshes(world, id));

  const raised = await world.api<TenantKeyAnswer>('POST', `${keyPath}/min-version`, { to: 2 });
  assert.deepEqual([raised.min_version, raised.safe_min_version], [2, null]);
  assert.ok(await refreshes(world, id));
  const { transit } = world.vault.layout.mounts;
  const context = Buffer.from(JSON.stringify(['grant', tenant, id, 1])).toString('base64');
  await assert.rejects(
    world.vault.operator.write(`${transit}/decrypt/tenant-${tenant}`, { ciphertext: old, context }),
    /too old/,
  );
  assert.deepEqual(await acts(world), [
    'tenant.key-min-version KEY_VERSION_IN_USE {"detail":"2 rows need a version before 2","from":1,"to":2}',
    'tenant.key-notice ok {"from":1,"to":2}',
    'tenant.key-rewrap ok {"failed":0,"rows":2,"version":2}',
    'tenant.key-min-version ok {"from":1,"to":2}',
  ]);
});

test('a refresh in flight while its row is rewrapped is neither lost nor taken for superseded', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  await world.api('POST', `${keyPath}/rotate`);
  world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: { endpoint: 'token', grantType: 'refresh_token' },
    times: 1,
  });
  const from = world.google.now();
  world.google.advance(hour);
  // The refusal is confirmed after a pause, and the row has another ciphertext by then.
  await Promise.all([world.broker.refreshDue(), world.broker.keepKeysDue()]);
  const { state, grant } = await world.channel(id);
  assert.equal(state, 'active');
  assert.ok((grant?.lastRefreshAt?.getTime() ?? 0) >= from + hour);
  assert.equal(grant?.lastFailure, undefined);
  assert.match(grant?.refreshTokenEncrypted ?? '', /^vault:v2:/);
  const [last] = (await world.store.audit.list({ channel: id, limit: 50 })).filter(
    ({ action }) => action === 'token.refresh',
  );
  assert.equal(last?.result, 'ok');
});

test('two rows whose ciphertexts were swapped in the database open nothing, and neither is rewrapped', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel('one');
  world.google.addAccount({ email: 'two@example.com', channels: [{ id: 'UCtwo', title: 'two', kind: 'personal' }] });
  const two = await world.addChannel('two');
  await world.consent(two.consentLink, { account: 'two@example.com' });
  const client = new pg.Client({ connectionString: superuserUrl(world.databaseUrl) });
  await client.connect();
  await client.query(
    `update channels set refresh_token_encrypted =
       (select refresh_token_encrypted from channels as other where other.id = any ($1) and other.id <> channels.id)
     where id = any ($1)`,
    [[id, two.id]],
  );
  await client.end();
  world.google.advance(hour);
  await world.broker.refreshDue();
  for (const each of [id, two.id]) {
    const channel = await world.channel(each);
    assert.deepEqual([channel.state, channel.grant?.lastFailure], ['active', 'broker_fault']);
  }

  await world.api('POST', `${keyPath}/rotate`);
  await world.broker.keepKeysDue();
  const status = await look(world);
  assert.deepEqual([...status.rewrap_failed].sort(), [`grant ${id}`, `grant ${two.id}`].sort());
  assert.equal(status.rows_to_rewrap, 2);
  const told = world.broker.log.filter((line) => line.includes('a ciphertext cannot be rewrapped'));
  assert.equal(told.length, 2);
  await world.broker.keepKeysDue();
  assert.equal(world.broker.log.filter((line) => line.includes('a ciphertext cannot be rewrapped')).length, 2);
});

test('a key that is missing or would ignore the context is told everywhere, and nothing is changed or deleted', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  await world.broker.keepKeysDue();
  const before = await world.channel(id);
  await world.vault.operator.write(`${transitKey(world)}/config`, { deletion_allowed: true });
  await world.vault.operator.delete(transitKey(world));
  await world.broker.keepKeysDue();
  assert.deepEqual(await world.channel(id), before);
  const metrics = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  assert.match(metrics, new RegExp(`^token_broker_tenant_key_fault{tenant="${tenant}"} 1$`, 'm'));
  assert.equal((await look(world)).fault, 'missing');
  assert.ok(world.broker.log.some((line) => line.includes('cannot be used') && line.includes('"missing"')));
  await assert.rejects(world.api('POST', `${keyPath}/rotate`), /TENANT_KEY_UNUSABLE/);

  await world.vault.operator.write(transitKey(world), { type: 'aes256-gcm96', derived: false });
  await world.broker.keepKeysDue();
  assert.equal((await look(world)).fault, 'unsuitable');
  assert.deepEqual(await acts(world), [
    'tenant.key-notice ok {"fault":"missing"}',
    'tenant.key-notice ok {"fault":"unsuitable"}',
  ]);
});

test('a minimum that an operator lowers by hand is followed, so that old ciphertexts can be stored again', async (t) => {
  const world = await useWorld(t);
  await world.connectedChannel();
  await world.api('POST', `${keyPath}/rotate`);
  await world.broker.keepKeysDue();
  await world.api('POST', `${keyPath}/min-version`, {});
  await world.vault.operator.write(`${transitKey(world)}/config`, { min_decryption_version: 1 });
  await world.broker.keepKeysDue();
  assert.equal((await world.store.tenantKeys.find(tenant))?.minVersion, 1);
  assert.equal((await acts(world)).at(-1), 'tenant.key-min-version ok {"by":"vault","from":2,"to":1}');
});

test('a cached token whose data key is of a retired version is a miss, and a rotation replaces the data key', async (t) => {
  const redisUrl = (await useRedis(t)).url;
  const world = await useWorld(t, { redisUrl });
  const id = await world.connectedChannel();
  await world.api('POST', `${keyPath}/rotate`);
  await world.broker.keepKeysDue();
  await world.api('POST', `${keyPath}/min-version`, {});
  // Another replica, with nothing unwrapped in its memory.
  const parts = { vault: world.vault, google: world.google, databaseUrl: world.databaseUrl, redisUrl };
  const second = await useBroker(t, {
    ...parts,
    clock: { now: () => new Date(world.google.now()) },
    settings: { BROKER_OPERATORS_GROUP: `${world.vault.layout.mounts.transit}-operators` },
  });
  assert.ok(second.httpPort > 0);
  assert.ok(await refreshes(world, id));
  const { grant } = await world.channel(id);
  assert.ok(grant?.accessTokenCacheKey);
});

test('people who are no operators change no key, and see only their own tenant’s', async (t) => {
  const world = await useWorld(t);
  const response = await fetch(`${world.broker.publicUrl}/v1/tenants/nobody/key`, {
    headers: { authorization: `Bearer ${await world.admin.identityToken()}` },
  });
  assert.equal(response.status, 404);
});
