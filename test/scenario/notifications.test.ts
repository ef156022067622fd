/** From a dead grant at Google to the owner's new consent, by the notification service; and what an operator does where it fails. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '../support/poll.ts';
import { type Message, signersOf, useWebhookReceiver } from '../support/webhook-receiver.ts';
import { oauthClient, useWorld, type World, type WorldOptions } from '../support/world.ts';

const hour = 3_600_000;
const secrets = [1, 2].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`);
const [firstSecret = '', secondSecret = ''] = secrets;

interface Shown {
  readonly id: string;
  readonly type: string;
  readonly state: string;
  readonly last_problem: string | null;
}

/** A world whose broker tells a notification service on this machine. */
async function useTold(t: TestContext, options: WorldOptions = {}) {
  const webhook = await useWebhookReceiver(t);
  const settings = {
    BROKER_NOTIFICATION_URL: webhook.url,
    BROKER_NOTIFICATION_CACERT: webhook.caFile,
    BROKER_NOTIFICATION_ALLOWED_NETWORKS: '127.0.0.0/8',
    ...options.settings,
  };
  const world = await useWorld(t, { ...options, settings });
  const list = async (query = '') =>
    (await world.api<{ notifications: Shown[] }>('GET', `/v1/notifications${query}`)).notifications;
  return { world, webhook, list };
}

/** Google says from now on that the grants are dead, and the scheduler finds it. */
async function endGrants(world: World): Promise<{ clear(): void }> {
  const fault = world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: { endpoint: 'token', grantType: 'refresh_token' },
    times: 'always',
  });
  world.google.advance(hour);
  await world.broker.refreshDue();
  return fault;
}

const typesOf = (messages: readonly Message[]) => messages.map(({ event }) => event.type.replace('token-broker.', ''));

test('an owner consents by the link of a message, and the recovery is told; each once, whatever happens between', async (t) => {
  const { world, webhook, list } = await useTold(t);
  await world.api('POST', '/v1/notification-secrets', { secret: firstSecret });
  const id = await world.connectedChannel();
  assert.deepEqual(await list(), []);

  const fault = await endGrants(world);
  assert.equal((await world.channel(id)).state, 'needs_reconsent');
  await until('the message arrives', () => webhook.received.length === 1);
  const [message] = webhook.received;
  assert.ok(message);
  assert.deepEqual(signersOf(message, secrets), [firstSecret]);
  assert.equal(message.event.type, 'token-broker.channel.needs_reconsent');
  assert.equal(message.event.subject, id);
  assert.equal(message.event.source, world.broker.publicUrl);
  await until('that is known', async () => (await list())[0]?.state === 'delivered');

  // More failures, looks and days change nothing.
  for (let round = 0; round < 3; round += 1) {
    world.google.advance(20 * hour);
    await world.broker.refreshDue();
    await world.broker.deliverNotifications();
  }
  assert.equal(webhook.received.length, 1);

  // The link is good for 72 hours from the message on.
  fault.clear();
  const page = await world.consent(message.event.data.consent_link?.url ?? '');
  assert.equal((await world.channel(id)).state, 'active', page.text);
  await until('the recovery arrives', () => webhook.received.length === 2);
  assert.deepEqual(typesOf(webhook.received), ['channel.needs_reconsent', 'channel.recovered']);
  assert.equal(webhook.received[1]?.event.data.consent_link, null);
  const again = await fetch(message.event.data.consent_link?.url ?? '', { redirect: 'manual' });
  assert.equal(again.status, 400, 'a link is good for one consent');

  const { id: told } = (await list())[1] ?? assert.fail();
  await assert.rejects(world.api('POST', `/v1/notifications/${told}/resend`), /NOTIFICATION_OUTDATED/);
});

test('a dead letter is listed, and sent again with a link that works', async (t) => {
  const { world, webhook, list } = await useTold(t);
  await world.api('POST', '/v1/notification-secrets', { secret: firstSecret });
  const id = await world.connectedChannel();
  webhook.answerWith((response) => response.writeHead(410).end());
  const fault = await endGrants(world);
  await until('it is given up', async () => (await list('?state=dead')).length === 1);
  const [letter] = await list('?state=dead');
  assert.equal(letter?.last_problem, 'gone 410');
  const records = await world.store.audit.list({ channel: id, limit: 5 });
  assert.equal(records[0]?.action, 'notification.give-up');

  // So late that the first link has expired.
  world.google.advance(100 * hour);
  webhook.answerWith((response) => response.writeHead(202).end());
  await world.api('POST', `/v1/notifications/${letter?.id}/resend`);
  await until('it arrives', () => webhook.received.length === 2);
  const [first, again] = webhook.received;
  assert.equal(first?.id, again?.id);
  const expired = await fetch(first?.event.data.consent_link?.url ?? '');
  assert.equal(expired.status, 400);
  fault.clear();
  await world.consent(again?.event.data.consent_link?.url ?? '');
  assert.equal((await world.channel(id)).state, 'active');
  const acts = (await world.store.audit.list({ channel: id, limit: 50 })).map(({ action }) => action);
  assert.ok(acts.includes('notification.resend'));
});

test('a changed secret signs beside the former one, so that no message is lost', async (t) => {
  const { world, webhook } = await useTold(t);
  await world.api('POST', '/v1/notification-secrets', { secret: firstSecret });
  const answer = await world.api('POST', '/v1/notification-secrets', { secret: secondSecret });
  assert.ok(new Date(String(answer.both_until)) > new Date());
  for (const secret of ['whsec_c2hvcnQ=', 'whsec_not base64', firstSecret.replace('whsec_', '')]) {
    await assert.rejects(world.api('POST', '/v1/notification-secrets', { secret }), /INVALID_REQUEST/);
  }
  await world.connectedChannel();
  await endGrants(world);
  await until('the message arrives', () => webhook.received.length === 1);
  const [message] = webhook.received;
  assert.ok(message);
  assert.deepEqual(signersOf(message, secrets), [firstSecret, secondSecret]);
});

test('a receiver that hangs keeps neither a refresh nor another channel waiting', async (t) => {
  const { world, webhook } = await useTold(t, { settings: { BROKER_NOTIFICATION_CONCURRENCY: '1' } });
  await world.api('POST', '/v1/notification-secrets', { secret: firstSecret });
  const hanging: (() => void)[] = [];
  webhook.answerWith((response) => void hanging.push(() => response.writeHead(204).end()));
  const dead = await world.connectedChannel('dead');
  const fault = await endGrants(world);
  await until('the receiver hangs', () => hanging.length === 1);
  assert.equal((await world.channel(dead)).state, 'needs_reconsent');
  fault.clear();
  const alive = await world.connectedChannel('alive');
  for (let round = 0; round < 3; round += 1) {
    const before = (await world.channel(alive)).grant?.lastRefreshAt;
    world.google.advance(hour);
    await world.broker.refreshDue();
    assert.notDeepEqual((await world.channel(alive)).grant?.lastRefreshAt, before);
  }
  assert.equal(hanging.length, 1);
  for (const answer of hanging) answer();
});

test('without a receiver notifications are kept, and the log says so once; with one they are sent', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  await endGrants(world);
  assert.equal(await world.broker.deliverNotifications(), 0);
  const kept = world.broker.log.filter((line) => line.includes('BROKER_NOTIFICATION_URL is not set'));
  assert.equal(kept.length, 1);
  const { notifications } = await world.api<{ notifications: Shown[] }>('GET', `/v1/notifications?channel=${id}`);
  assert.deepEqual(
    notifications.map(({ type, state }) => [type, state]),
    [['channel.needs_reconsent', 'waiting']],
  );
});

test('grants of an OAuth client in testing are told before they end, and renewed by the link', async (t) => {
  const { world, webhook } = await useTold(t);
  await world.api('POST', '/v1/notification-secrets', { secret: firstSecret });
  await world.api('POST', `/v1/oauth-clients/${oauthClient}/publishing`, { publishing: 'testing' });
  const id = await world.connectedChannel();
  world.google.advance(5 * 24 * hour);
  await world.broker.deliverNotifications();
  await until('the message arrives', () => webhook.received.length === 1);
  const { event } = webhook.received[0] ?? assert.fail();
  assert.deepEqual([event.type, event.data.kind], ['token-broker.channel.expiring', 'testing_mode']);
  await world.consent(event.data.consent_link?.url ?? '');
  assert.equal((await world.channel(id)).grant?.generation, 2);
  world.google.advance(3 * 24 * hour);
  await world.broker.deliverNotifications();
  assert.equal(webhook.received.length, 1, 'the new grant is young');
});
