/** What a workload that subscribes hears of its channels, from the whole product. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RawBuilder, sql } from 'kysely';
import { superuserUrl } from '../support/postgres.ts';
import type { Scope } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { useSubscription } from '../support/subscription.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const unknown = `ch_${'0'.repeat(26)}`;

/** Runs statements beside the broker, as the superuser of the database can. */
function useDatabaseOf(scope: Scope, world: World) {
  const database = useConnection(scope, superuserUrl(world.databaseUrl));
  return (statement: RawBuilder<unknown>) => database.run((db) => statement.execute(db));
}

test('a subscription tells all channels at first, and each change whoever makes it', async (t) => {
  const world = await useWorld(t);
  const run = useDatabaseOf(t, world);
  const [one, two] = [await world.connectedChannel('one'), await world.connectedChannel('two')];
  const pending = (await world.addChannel('pending')).id;
  const workload = await useWorkload(t, world, { reads: [one, two, pending] });
  const stream = useSubscription(t, workload.subscribe, [one, two, pending, unknown, 'nonsense']);

  await stream.stands(one, 'AVAILABLE 1');
  assert.deepEqual(
    stream.messages[0]?.map(({ availability, code }) => `${availability} ${code}`.trim()),
    ['AVAILABLE', 'AVAILABLE', 'UNAVAILABLE CONSENT_PENDING', 'DENIED ACCESS_DENIED', 'DENIED INVALID_REQUEST'],
  );
  assert.match(stream.messages[0]?.[2]?.message ?? '', /has not consented yet.*broker channel consent-link/);
  const refused = await workload.getAccessToken({ channelId: pending }).catch((error: unknown) => error);
  assert.equal((refused as { sentence?: string }).sentence, stream.messages[0]?.[2]?.message);

  await run(sql`update channels set state = 'suspended', reason = 'suspended_by_admin' where id = ${one}`);
  await stream.stands(one, 'UNAVAILABLE 1 CHANNEL_SUSPENDED');
  await run(sql`update channels set state = 'active' where id = ${one}`);
  await stream.stands(one, 'AVAILABLE 1');
  await run(sql`update channels set generation = 2 where id = ${two}`);
  await stream.stands(two, 'AVAILABLE 2');
  await run(sql`delete from workload_access where channel = ${two}`);
  await stream.stands(two, 'DENIED 0 ACCESS_DENIED');
  assert.ok(
    stream.messages.every((channels) => channels.length === 5),
    'a message lacks a channel',
  );

  world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: { endpoint: 'token', grantType: 'refresh_token' },
    times: 'always',
  });
  world.google.advance(3_600_000);
  await world.broker.refreshDue();
  await stream.stands(one, 'UNAVAILABLE 1 RECONSENT_REQUIRED');
});

test('a workload hears the same of a channel that it may not read as of one that is not there, on record', async (t) => {
  const world = await useWorld(t);
  const foreign = await world.connectedChannel();
  const workload = await useWorkload(t, world);
  const stream = useSubscription(t, workload.subscribe, [foreign, unknown]);
  await stream.stands(unknown, 'DENIED 0 ACCESS_DENIED');
  const [of, none] = stream.messages[0] ?? [];
  assert.deepEqual({ ...of, channelId: '' }, { ...none, channelId: '' });

  const again = useSubscription(t, workload.subscribe, [foreign, unknown]);
  await again.stands(foreign, 'DENIED 0 ACCESS_DENIED');
  const records = (await world.store.audit.list({ channel: foreign, limit: 50 })).filter(
    ({ action }) => action === 'channel.subscribe',
  );
  assert.deepEqual(
    records.map(({ caller, result, tenant }) => [caller, result, tenant]),
    [[workload.spiffeId, 'ACCESS_DENIED', 'acme']],
    'each refusal is recorded, and a repeated one not at once again',
  );
});

test('a subscription names from one to a thousand channels', async (t) => {
  const world = await useWorld(t);
  const workload = await useWorkload(t, world);
  const ids = Array.from({ length: 1_001 }, (_, n) => `ch_${String(n).padStart(26, '0')}`);
  for (const channels of [[], ids]) {
    const stream = useSubscription(t, workload.subscribe, channels);
    assert.equal((await stream.ended())?.code, 'INVALID_REQUEST');
  }
  const stream = useSubscription(t, workload.subscribe, ids.slice(1));
  await stream.stands(ids[1_000] ?? '', 'DENIED 0 ACCESS_DENIED');
  const denied = await world.store.audit.list({ limit: 1_000 });
  assert.equal(denied.filter(({ action }) => action === 'channel.subscribe').length, 20);
});

test('a broker that stops ends subscriptions in good order, and says so of none before', async (t) => {
  const world = await useWorld(t);
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  const stream = useSubscription(t, workload.subscribe, [channel]);
  await stream.stands(channel, 'AVAILABLE 1');
  assert.match(await metrics(world), /token_broker_subscriptions 1\n/);
  assert.match(await metrics(world), /token_broker_changes_heard 1\n/);
  await world.broker.stop();
  assert.equal(await stream.ended(), undefined);
});

test('a replica drops the tokens of a channel from its cache when the channel is withdrawn by hand', async (t) => {
  const world = await useWorld(t);
  const run = useDatabaseOf(t, world);
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  const first = await workload.getAccessToken({ channelId: channel });
  assert.equal((await workload.getAccessToken({ channelId: channel })).accessToken, first.accessToken);
  const stream = useSubscription(t, workload.subscribe, [channel]);
  await stream.stands(channel, 'AVAILABLE 1');
  await run(sql`update channels set state = 'suspended' where id = ${channel}`);
  await stream.stands(channel, 'UNAVAILABLE 1 CHANNEL_SUSPENDED');
  await run(sql`update channels set state = 'active' where id = ${channel}`);
  const second = await workload.getAccessToken({ channelId: channel });
  assert.notEqual(second.accessToken, first.accessToken, 'the token was still in the cache');
});

async function metrics({ broker }: World): Promise<string> {
  return (await fetch(`${broker.operationsUrl}/metrics`)).text();
}
