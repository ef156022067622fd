/** Grants that end by themselves at Google are found in time and told once each. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import type { Channel, Grant } from '../../broker/domain/channel.ts';
import type { Publishing } from '../../broker/domain/oauth-client.ts';
import { aClock, createNotifier, useReceiver } from '../support/notifier.ts';
import { useStore } from '../support/store.ts';
import { actsOn, anActiveChannel, aRecord, fill, start } from '../support/store-fixtures.ts';
import { useWebhookReceiver } from '../support/webhook-receiver.ts';

const hour = 3_600_000;
const day = 24 * hour;

async function useChannels(t: TestContext, publishing: Publishing, ...channels: readonly Channel[]) {
  const { store, database } = await useStore(t);
  await fill(store, ...channels);
  await store.oauthClients.change('uploads', { publishing }, aRecord('oauth-client.set-publishing'));
  const webhook = await useWebhookReceiver(t);
  const clock = aClock(start);
  const parts = { store, clock, receiver: useReceiver(t, webhook) };
  const told = () => webhook.received.map(({ event }) => [event.subject, event.data.kind, event.data.expires_at]);
  return { store, database, clock, webhook, told, notifier: createNotifier(parts), other: createNotifier(parts) };
}

function channel(id: string, grant: Partial<Grant> = {}, change: Partial<Channel> = {}): Channel {
  const own = { googleSubject: `google-${id}`, refreshTokenHash: `hash-${id}` };
  return anActiveChannel({ id, name: id, ...change }, { lastRefreshAt: start, ...own, ...grant });
}

test('a grant of an OAuth client in testing is told five days after the consent, once, with a link', async (t) => {
  const { clock, notifier, other, told, webhook, store } = await useChannels(t, 'testing', channel('ch_1'));
  clock.advance(5 * day - hour);
  await notifier.runOnce();
  assert.deepEqual(told(), []);
  clock.advance(hour);
  await Promise.all([notifier.runOnce(), other.runOnce()]);
  await notifier.runOnce();
  const end = new Date(start.getTime() + 7 * day).toISOString();
  assert.deepEqual(told(), [['ch_1', 'testing_mode', end]]);
  assert.match(String(webhook.received[0]?.event.data.consent_link?.url), /\/consent\//);
  assert.deepEqual(await actsOn(store, 'ch_1'), ['channel.add', 'channel.expiring', 'consent.invite']);
});

test('a grant of an OAuth client in production does not end after seven days, and one that has ended is not told', async (t) => {
  const production = await useChannels(t, 'production', channel('ch_1'));
  production.clock.advance(6 * day);
  await production.notifier.runOnce();
  assert.deepEqual(production.told(), []);

  const late = await useChannels(t, 'testing', channel('ch_1'));
  late.clock.advance(8 * day);
  await late.notifier.runOnce();
  assert.deepEqual(late.told(), []);
});

test('a new grant of the same channel is told of again', async (t) => {
  const { clock, notifier, told, database } = await useChannels(t, 'testing', channel('ch_1'));
  clock.advance(5 * day);
  await notifier.runOnce();
  const at = clock.now();
  await database.run((db) =>
    sql`update channels set generation = 2, consented_at = ${at}, updated_at = ${at}`.execute(db),
  );
  clock.advance(5 * day);
  await notifier.runOnce();
  assert.equal(told().length, 2);
});

test('a grant that Google gave a time to is told two days before it', async (t) => {
  const { clock, notifier, told, database } = await useChannels(t, 'production', channel('ch_1'));
  const end = new Date(start.getTime() + 30 * day);
  await database.run((db) => sql`update channels set refresh_token_expires_at = ${end}`.execute(db));
  clock.advance(28 * day - 1);
  await notifier.runOnce();
  assert.deepEqual(told(), []);
  clock.advance(1);
  await notifier.runOnce();
  assert.deepEqual(told(), [['ch_1', 'time_based', end.toISOString()]]);
});

test('a grant that is not used for five months is told, with a link where a consent helps', async (t) => {
  const suspended = channel('ch_2', {}, { state: 'suspended', reason: 'suspended_by_admin' });
  const used = channel('ch_3', { lastRefreshAt: new Date(start.getTime() + day) });
  const { clock, notifier, told, webhook } = await useChannels(t, 'production', channel('ch_1'), suspended, used);
  clock.advance(150 * day);
  await notifier.runOnce();
  const end = new Date(start.getTime() + 180 * day).toISOString();
  assert.deepEqual(told().toSorted(), [
    ['ch_1', 'idle', end],
    ['ch_2', 'idle', end],
  ]);
  const links = webhook.received.map(({ event }) => [event.subject, event.data.consent_link !== null]).toSorted();
  assert.deepEqual(links, [
    ['ch_1', true],
    ['ch_2', false],
  ]);
});

test('the oldest of ninety grants of one Google identity with one OAuth client is told, without a link', async (t) => {
  const many = Array.from({ length: 90 }, (_, index) =>
    channel(`ch_${String(index).padStart(2, '0')}`, {
      googleSubject: 'google-one',
      consentedAt: new Date(start.getTime() - (index === 41 ? day : 0)),
    }),
  );
  const { notifier, told, webhook, database } = await useChannels(t, 'production', ...many);
  await database.run((db) => sql`update channels set state = 'needs_reconsent' where id = 'ch_07'`.execute(db));
  await notifier.runOnce();
  assert.deepEqual(told(), [], 'one of them is dead');
  await database.run((db) => sql`update channels set state = 'active' where id = 'ch_07'`.execute(db));
  await notifier.runOnce();
  await notifier.runOnce();
  assert.deepEqual(told(), [['ch_41', 'token_limit', undefined]]);
  assert.equal(webhook.received[0]?.event.data.grants, 90);
  assert.equal(webhook.received[0]?.event.data.consent_link, null);
});

test('what was told is not sent where the channel has been mended before it arrived', async (t) => {
  const { clock, notifier, told, webhook, database, store } = await useChannels(t, 'production', channel('ch_1'));
  webhook.answerWith((response) => response.writeHead(503).end());
  clock.advance(150 * day);
  await notifier.runOnce();
  clock.advance(hour);
  const at = clock.now();
  await database.run((db) => sql`update channels set last_refresh = ${at}`.execute(db));
  await notifier.runOnce();
  assert.equal(told().length, 1);
  assert.deepEqual(
    (await store.notifications.list({ limit: 5 })).map(({ state }) => state),
    ['superseded'],
  );
});
