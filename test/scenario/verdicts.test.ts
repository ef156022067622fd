/** Why a grant ended, on real parts: what the practice Google ends for a reason is told with that reason, and nothing more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addChannels, addClient } from '../support/many-channels.ts';
import { useConnection } from '../support/store.ts';
import { useWorld, type World } from '../support/world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const usual = 'client-1.apps.example';

async function stateOf(world: World, id: string) {
  const { state, reason } = await world.channel(id);
  return [state, reason];
}

/** Lets time pass as it does: the scheduler refreshes on its way. */
async function live(world: World, ms: number, step: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    world.google.advance(step);
    await world.broker.refreshDue();
  }
}

test('a grant of a client in testing ends after seven days, and that is told where an operator has said so', async (t) => {
  const world = await useWorld(t, { client: { publishing: 'testing' } });
  await world.api('POST', '/v1/oauth-clients/uploads/publishing', { publishing: 'testing' });
  const id = await world.connectedChannel();
  await live(world, 7 * day - 4 * hour, 4 * hour);
  assert.deepEqual(await stateOf(world, id), ['active', 'consented']);
  await live(world, 5 * hour, 20 * minute);
  assert.deepEqual(await stateOf(world, id), ['needs_reconsent', 'testing_mode_expired']);
  const records = await world.store.audit.list({ channel: id, limit: 5 });
  const record = records.find(({ action }) => action === 'channel.state');
  assert.deepEqual(
    [record?.facts.grantAgeDays, record?.facts.publishing, record?.facts.class, record?.facts.error],
    [7, 'testing', 'grant_dead', 'invalid_grant'],
  );
});

test('where nobody has said that the client is in testing, its end after seven days is not told as that', async (t) => {
  const world = await useWorld(t, { client: { publishing: 'testing' } });
  const id = await world.connectedChannel();
  world.google.advance(7 * day + minute);
  await world.broker.refreshDue();
  assert.deepEqual(await stateOf(world, id), ['needs_reconsent', 'grant_revoked_or_expired']);
});

test('a grant that Google gave for a time ends as expired', async (t) => {
  const world = await useWorld(t, { client: { timeBasedAccess: 3 * 24 * 3600 } });
  const id = await world.connectedChannel();
  const end = (await world.channel(id)).grant?.refreshTokenExpiresAt;
  assert.ok(end && Math.abs(end.getTime() - world.google.now() - 3 * day) < minute);
  await live(world, 3 * day - hour, 4 * hour);
  await live(world, 2 * hour, 20 * minute);
  assert.deepEqual(await stateOf(world, id), ['needs_reconsent', 'grant_expired']);
});

test('a grant that nobody used for six months ends as idle', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  world.google.advance(184 * day);
  await world.broker.refreshDue();
  assert.deepEqual(await stateOf(world, id), ['needs_reconsent', 'idle_six_months']);
});

test('the oldest of a hundred grants of one account is told of before Google ends it for a newer one, and ends as that', async (t) => {
  const world = await useWorld(t);
  const clientId = await addClient(world, 'crowded');
  const account = 'studio@example.com';
  const [oldest = '', second = ''] = await addChannels(world, {
    ...{ name: 'studio', oauthClient: 'crowded', clientId, count: 100, account },
    dueAt: new Date(world.google.now() + hour),
  });
  await world.broker.deliverNotifications();
  const { notifications } = await world.api<{
    notifications: readonly { type: string; channel: string; facts: Record<string, unknown> }[];
  }>('GET', '/v1/notifications');
  assert.deepEqual(
    notifications.map(({ type, channel, facts }) => [type, channel, facts.kind, facts.grants]),
    [['channel.expiring', oldest, 'token_limit', 100]],
  );

  // Somebody connects one more, with another program of ours.
  world.google.grant({ clientId, account, scope: 'openid https://www.googleapis.com/auth/youtube.upload' });
  world.google.advance(hour + minute);
  await world.broker.refreshDue();
  assert.deepEqual(await stateOf(world, oldest), ['needs_reconsent', 'token_limit']);
  assert.deepEqual(await stateOf(world, second), ['active', 'consented']);
  const records = await world.store.audit.list({ channel: oldest, limit: 5 });
  assert.equal(records.find(({ action }) => action === 'channel.state')?.facts.liveGrants, 100);
});

test('a grant that its owner took back ends by what Google says of it, which is not why', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const { project } = world.google.updateClient(usual, {});
  world.google.revokeByOwner({ account: 'owner@example.com', project });
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.deepEqual(await stateOf(world, id), ['needs_reconsent', 'grant_revoked_or_expired']);
});

test('a rotated refresh token is found by both its new names, and by the former ones no more', async (t) => {
  const world = await useWorld(t, { client: { rotateRefreshTokens: true } });
  const id = await world.connectedChannel();
  const names = async () => {
    const { grant } = await world.channel(id);
    return [grant?.refreshTokenHash, grant?.refreshTokenPrefixHash];
  };
  const before = await names();
  assert.ok(before.every((name) => name !== undefined));
  world.google.advance(hour);
  await world.broker.refreshDue();
  const after = await names();
  assert.ok(after.every((name, place) => name !== undefined && name !== before[place]));
});

test('a channel from before the prefix was kept gets it with its next refresh', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const known = (await world.channel(id)).grant?.refreshTokenPrefixHash;
  assert.ok(known);
  const database = useConnection(t, world.databaseUrl);
  await database.run((db) => db.updateTable('channels').set({ refresh_token_prefix_hash: null }).execute());
  assert.equal((await world.channel(id)).grant?.refreshTokenPrefixHash, undefined);
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(id)).grant?.refreshTokenPrefixHash, known);
});
