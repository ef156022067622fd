/** Trouble of an OAuth client is told from a channel's: before channels are changed, once, and with a way back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountOf, addChannels, addClient } from '../support/many-channels.ts';
import type { Scope } from '../support/scope.ts';
import { useWorld } from '../support/world.ts';

const minute = 60_000;
const dueInMs = 5 * minute;
const token = { endpoint: 'token', grantType: 'refresh_token' } as const;
const settings = { BROKER_FREEZE_MINIMUM: '4' };

async function useSickClient(scope: Scope, count: number) {
  const world = await useWorld(scope, { settings });
  const clientId = await addClient(world, 'sick');
  // Not before the test has broken what it breaks, however slow the machine is.
  const dueAt = new Date(world.google.now() + dueInMs);
  const ids = await addChannels(world, { name: 'sick', oauthClient: 'sick', clientId, count, dueAt });
  const break_ = (error: 'invalid_grant' | 'invalid_client') =>
    world.google.faults.add({ fault: { kind: 'error', error }, where: { ...token, clientId }, times: 'always' });
  const states = async () => {
    const channels = await Promise.all(ids.map((id) => world.channel(id)));
    return channels.map(({ state }) => state).filter((state) => state !== 'active');
  };
  const incidents = async () =>
    (await world.api<{ incidents: readonly { kind: string; error: string }[] }>('GET', '/v1/oauth-client-incidents'))
      .incidents;
  const ready = async () =>
    (await (await fetch(`${world.broker.operationsUrl}/readyz`)).json()) as {
      status: string;
      checks: Record<string, string>;
    };
  const later = async (ms: number) => {
    world.google.advance(ms);
    await world.broker.refreshDue();
  };
  return { world, clientId, ids, break_, states, incidents, ready, later };
}

test('a mass of invalid_grant freezes the client after one channel, and a recovery puts that one back', async (t) => {
  const { world, ids, break_, states, incidents, ready, later } = await useSickClient(t, 8);
  const fault = break_('invalid_grant');
  await later(dueInMs);
  assert.deepEqual(await states(), ['needs_reconsent'], 'one of eight was believed');
  assert.deepEqual(
    (await incidents()).map(({ kind, error }) => [kind, error]),
    [['mass_invalid_grant', 'invalid_grant']],
  );
  assert.deepEqual([(await ready()).status, (await ready()).checks.oauth_clients], ['degraded', 'OAUTH_CLIENT_FROZEN']);
  const { oauth_client: shown } = await world.api<{ oauth_client: { incidents: readonly string[] } }>(
    'GET',
    '/v1/oauth-clients/sick',
  );
  assert.deepEqual(shown.incidents, ['mass_invalid_grant']);
  await later(20 * minute);
  assert.equal((await incidents()).length, 1, 'no second one, however often they fail');

  fault.clear();
  await later(20 * minute);
  assert.deepEqual(await incidents(), []);
  await later(minute);
  assert.deepEqual(await states(), []);
  for (const id of ids) assert.equal((await world.channel(id)).grant?.lastFailure, undefined);
  assert.equal((await ready()).checks.oauth_clients, 'ok');
});

test('an operator who believes Google lets the grants end, each with its owner told', async (t) => {
  const { world, break_, states, later } = await useSickClient(t, 6);
  break_('invalid_grant');
  await later(dueInMs);
  const thaw = { kind: 'mass_invalid_grant', believe: true };
  assert.deepEqual(await world.api('POST', '/v1/oauth-clients/sick/incidents/thaw', thaw), { restored: [] });
  await later(minute);
  assert.equal((await states()).length, 6);
  await assert.rejects(world.api('POST', '/v1/oauth-clients/sick/incidents/thaw', thaw), /INCIDENT_NOT_FOUND/);
});

test('a proof ends no grant of a frozen client, and does when the client is well', async (t) => {
  const { world, clientId, states, incidents, later } = await useSickClient(t, 6);
  const sick = Array.from({ length: 6 }, (_, index) =>
    world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_grant' },
      where: { ...token, account: accountOf('sick', index) },
      times: 'always',
    }),
  );
  await later(dueInMs);
  assert.equal((await incidents()).length, 1);
  const [drifted = ''] = await addChannels(world, { name: 'drifted', oauthClient: 'sick', clientId, count: 1 });
  const sub = (await world.channel(drifted)).grant?.googleSubject ?? '';
  world.google.setChannels(sub, []);
  const lists = world.google.faults.add({
    fault: { kind: 'latency', ms: 0 },
    where: { endpoint: 'channels', account: accountOf('drifted', 0) },
    times: 'always',
  });
  await later(2_000);
  assert.equal(lists.hits(), 2, 'the proof has found it, twice');
  assert.equal((await world.channel(drifted)).state, 'active');

  for (const fault of sick) fault.clear();
  await later(20 * minute);
  assert.deepEqual(await incidents(), []);
  await later(60 * minute);
  const { state, reason } = await world.channel(drifted);
  assert.deepEqual([state, reason], ['needs_reconsent', 'channel_drift']);
  assert.deepEqual(await states(), []);
});

test('proofs that find many channels gone at once are not believed after the first, and put that one back when they find them again', async (t) => {
  const { world, ids, states, incidents, later } = await useSickClient(t, 8);
  // YouTube answers everybody with an empty list.
  const empty = world.google.faults.add({
    fault: { kind: 'status', status: 200, body: '{"kind":"youtube#channelListResponse","items":[]}' },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  await later(dueInMs);
  assert.deepEqual(await states(), ['needs_reconsent'], 'one of eight was believed');
  assert.deepEqual(
    (await incidents()).map(({ kind, error }) => [kind, error]),
    [['mass_invalid_grant', 'channel_drift']],
  );
  // Refreshes go on, and say nothing of what the proofs have found.
  await later(40 * minute);
  assert.equal((await incidents()).length, 1);
  assert.equal((await states()).length, 1);

  empty.clear();
  await later(60 * minute);
  assert.deepEqual(await incidents(), []);
  await later(minute);
  assert.deepEqual(await states(), []);
  for (const id of ids) assert.equal((await world.channel(id)).state, 'active');
});

test('an operator who says that the client is well puts back what was changed', async (t) => {
  const { world, break_, states, later, ids } = await useSickClient(t, 6);
  const fault = break_('invalid_grant');
  await later(dueInMs);
  fault.clear();
  const { restored } = await world.api<{ restored: readonly string[] }>(
    'POST',
    '/v1/oauth-clients/sick/incidents/thaw',
    {
      kind: 'mass_invalid_grant',
    },
  );
  assert.equal(restored.length, 1);
  assert.ok(ids.includes(restored[0] ?? ''));
  await later(minute);
  assert.deepEqual(await states(), []);
});

test('a client that Google refuses has one incident, is asked by one channel now and then, and recovers by itself', async (t) => {
  const { world, clientId, break_, states, incidents, later } = await useSickClient(t, 6);
  const fault = break_('invalid_client');
  await later(dueInMs);
  assert.deepEqual(
    (await incidents()).map(({ kind }) => kind),
    ['client_rejected'],
  );
  await later(minute);
  world.google.counts.reset();
  await later(minute);
  assert.equal(world.google.counts.requests({ ...token, clientId }), 1, 'one probe for all channels');
  assert.deepEqual(await states(), []);
  fault.clear();
  await later(2 * minute);
  assert.deepEqual(await incidents(), []);
});
