/** What becomes of a notification at a real receiver, over days, by a clock that the test moves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { sql } from 'kysely';
import { BrokerError } from '../../broker/errors.ts';
import type { NotificationReceiver } from '../../broker/ports.ts';
import { notify } from '../../broker/store/notify.ts';
import { aClock, createNotifier, type NotifierParts, signingSecret, useReceiver } from '../support/notifier.ts';
import { until } from '../support/poll.ts';
import { atEnd } from '../support/scope.ts';
import { useStore } from '../support/store.ts';
import { actsOn, anActiveChannel, aRecord, fill, minute } from '../support/store-fixtures.ts';
import { signersOf, useWebhookReceiver } from '../support/webhook-receiver.ts';

const second = 1_000;
const day = 86_400_000;
const dead = {
  id: 'ch_1',
  from: 'active',
  to: 'needs_reconsent',
  reason: 'grant_revoked_or_expired',
  generation: 1,
  at: minute(5),
} as const;

/** A channel whose grant has just been found dead, and everything that tells of it. */
async function useDeadChannel(t: TestContext, change: Partial<NotifierParts> = {}) {
  const stored = await useStore(t);
  const { store, database } = stored;
  await fill(store, anActiveChannel());
  await store.channels.changeState(dead, aRecord('channel.state', { channel: 'ch_1' }));
  const webhook = await useWebhookReceiver(t);
  const clock = aClock(minute(5));
  const parts = { store, clock, receiver: useReceiver(t, webhook), ...change };
  const notifier = createNotifier(parts);
  const [only] = await store.notifications.list({ limit: 10 });
  assert.ok(only);
  const jobs = async () => {
    const found = await database.run((db) => sql`select from graphile_worker._private_jobs`.execute(db));
    return found.rows.length;
  };
  return { ...stored, webhook, clock, notifier, parts, id: only.id, jobs };
}

const stateOf = async ({ store, id }: Awaited<ReturnType<typeof useDeadChannel>>) =>
  (await store.notifications.find(id))?.state;

test('a message is a signed CloudEvent with a link that its owner can consent by, and is sent once', async (t) => {
  const told = await useDeadChannel(t);
  assert.equal(await told.notifier.runOnce(), 1);
  assert.equal(await told.notifier.runOnce(), 0);
  const [message, ...more] = told.webhook.received;
  assert.ok(message);
  assert.deepEqual(more, []);
  assert.deepEqual(signersOf(message, [signingSecret]), [signingSecret]);
  assert.equal(message.headers['content-type'], 'application/cloudevents+json; charset=utf-8');
  assert.equal(message.headers['webhook-timestamp'], String(minute(5).getTime() / 1000));
  const { consent_link: link, ...data } = message.event.data;
  assert.deepEqual(
    { ...message.event, data },
    {
      specversion: '1.0',
      id: told.id,
      source: 'https://broker.example.com',
      type: 'token-broker.channel.needs_reconsent',
      subject: 'ch_1',
      time: minute(5).toISOString(),
      datacontenttype: 'application/json',
      data: {
        channel: 'ch_1',
        channel_name: 'cooking',
        tenant: 'acme',
        owner: 'alice',
        youtube_channel_id: 'UC-1',
        youtube_title: 'Cooking with Alice',
        generation: 1,
        oauth_client: 'uploads',
        state: 'needs_reconsent',
        former_state: 'active',
        reason: 'grant_revoked_or_expired',
      },
    },
  );
  assert.equal(message.id, told.id);
  assert.match(link?.url ?? '', /^https:\/\/broker\.example\.com\/consent\/[\w-]{43}$/);
  assert.equal(link?.expires_at, new Date(minute(5).getTime() + 3 * day).toISOString());
  assert.equal(await stateOf(told), 'delivered');
  assert.equal(await told.jobs(), 0);
  assert.deepEqual(await actsOn(told.store, 'ch_1'), ['channel.add', 'channel.state', 'consent.invite']);
});

for (const [what, status, headers, problem] of [
  ['refuses', 400, {}, 'status 400'],
  ['is out of order', 503, {}, 'status 503'],
  ['leads elsewhere', 308, { location: 'https://localhost/other' }, 'redirect 308'],
] as const) {
  test(`a receiver that ${what} is asked again, under the same id and with a new link, until it takes it`, async (t) => {
    const told = await useDeadChannel(t);
    const { webhook, clock, notifier } = told;
    webhook.answerWith((response) => response.writeHead(status, headers).end());
    await notifier.runOnce();
    const after = await told.store.notifications.find(told.id);
    assert.deepEqual([after?.state, after?.attempts, after?.lastProblem], ['waiting', 1, problem]);
    assert.deepEqual(after?.dueAt, new Date(clock.now().getTime() + 5 * second));
    assert.equal(await notifier.runOnce(), 0);
    clock.advance(5 * second);
    webhook.answerWith((response) => response.writeHead(202).end('x'.repeat(100_000)));
    assert.equal(await notifier.runOnce(), 1);
    const [first, again, ...more] = webhook.received;
    assert.deepEqual(more, []);
    assert.equal(first?.id, again?.id);
    assert.notEqual(first?.event.data.consent_link?.url, again?.event.data.consent_link?.url);
    assert.equal(await stateOf(told), 'delivered');
  });
}

test('what the receiver asks for by Retry-After is waited for', async (t) => {
  const told = await useDeadChannel(t);
  told.webhook.answerWith((response) => response.writeHead(429, { 'retry-after': '3600' }).end());
  await told.notifier.runOnce();
  const { dueAt } = (await told.store.notifications.find(told.id)) ?? {};
  assert.deepEqual(dueAt, new Date(told.clock.now().getTime() + 3_600 * second));
});

test('what is not taken for days is a dead letter, on record, and is sent again when somebody says so', async (t) => {
  const told = await useDeadChannel(t);
  const { webhook, clock, notifier, store, id } = told;
  webhook.answerWith((response) => response.writeHead(500).end());
  let tries = 0;
  while ((await stateOf(told)) === 'waiting') {
    tries += await notifier.runOnce();
    const { dueAt = clock.now() } = (await store.notifications.find(id)) ?? {};
    clock.advance(Math.max(0, dueAt.getTime() - clock.now().getTime()));
  }
  assert.equal(tries, 11);
  assert.equal(new Set(webhook.received.map((message) => message.id)).size, 1);
  assert.ok(clock.now().getTime() - minute(5).getTime() > 4 * day);
  assert.deepEqual(
    (await store.notifications.list({ state: 'dead', limit: 10 })).map(({ id: one, lastProblem }) => [
      one,
      lastProblem,
    ]),
    [[id, 'status 500']],
  );
  assert.equal(await told.jobs(), 0);
  const [given] = await store.audit.list({ channel: 'ch_1', limit: 1 });
  assert.deepEqual([given?.action, given?.facts.attempts, given?.facts.notification], ['notification.give-up', 11, id]);
  assert.equal(await notifier.runOnce(), 0);

  clock.advance(30 * day);
  webhook.answerWith((response) => response.writeHead(204).end());
  await store.notifications.resend(id, clock.now(), aRecord('notification.resend', { channel: 'ch_1' }));
  assert.equal(await notifier.runOnce(), 1);
  const link = webhook.received.at(-1)?.event.data.consent_link;
  assert.equal(webhook.received.at(-1)?.id, id);
  assert.ok(new Date(link?.expires_at ?? 0) > clock.now());
  assert.equal(await stateOf(told), 'delivered');
});

test('a receiver that is down is tried with one message at a time, however many wait, and all of them come when it is back', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const webhook = await useWebhookReceiver(t);
  const clock = aClock(minute(5));
  const heard: boolean[] = [];
  const parts = { store, clock, receiver: useReceiver(t, webhook), onReceiver: (down: boolean) => heard.push(down) };
  const notifier = createNotifier(parts);
  const waiting = 40;
  await database.transaction(async (trx) => {
    for (let n = 0; n < waiting; n += 1) {
      const about = { oauthClient: 'uploads', occasion: `incident ${n}` };
      await notify(trx, { type: 'oauth_client.incident', at: minute(5), ...about });
    }
  });
  const all = () => store.notifications.list({ limit: 100 });
  webhook.answerWith((response) => response.writeHead(503).end());
  await notifier.runOnce();
  const first = webhook.received.length;
  assert.ok(first >= 5 && first <= 8, `${first} of ${waiting} were tried before it was known to be down`);
  assert.deepEqual(heard, [true]);
  const held = (await all()).filter(({ lastProblem }) => lastProblem === 'receiver_down');
  assert.equal(held.length, waiting - first);
  assert.ok(held.every(({ attempts, firstAttemptAt }) => attempts === 0 && firstAttemptAt === undefined));

  clock.advance(30 * second);
  await notifier.runOnce();
  assert.equal(webhook.received.length, first + 1, 'one probe, and nothing else');
  clock.advance(10 * 60 * second);
  webhook.answerWith((response) => response.writeHead(204).end());
  await notifier.runOnce();
  clock.advance(30 * second);
  await notifier.runOnce();
  assert.deepEqual(heard, [true, true, false], 'and the probe that failed was told, too');
  assert.deepEqual(new Set((await all()).map(({ state }) => state)), new Set(['delivered']));
});

test('an answer that is about one message holds no other back', async (t) => {
  const { store, database } = await useStore(t);
  await fill(store, anActiveChannel());
  const webhook = await useWebhookReceiver(t);
  const notifier = createNotifier({ store, clock: aClock(minute(5)), receiver: useReceiver(t, webhook) });
  await database.transaction(async (trx) => {
    for (let n = 0; n < 12; n += 1) {
      const about = { oauthClient: 'uploads', occasion: `incident ${n}` };
      await notify(trx, { type: 'oauth_client.incident', at: minute(5), ...about });
    }
  });
  webhook.answerWith((response) => response.writeHead(422).end());
  await notifier.runOnce();
  assert.equal(webhook.received.length, 12);
});

test('a receiver that says that it is gone for good is not asked again', async (t) => {
  const told = await useDeadChannel(t);
  told.webhook.answerWith((response) => response.writeHead(410).end());
  await told.notifier.runOnce();
  assert.equal(await stateOf(told), 'dead');
});

test('what is true no more is not sent', async (t) => {
  const told = await useDeadChannel(t);
  told.webhook.answerWith((response) => response.writeHead(503).end());
  await told.notifier.runOnce();
  await told.store.channels.rotateToken(
    {
      channel: 'ch_1',
      generation: 1,
      formerTokenHash: 'hash-first',
      refreshTokenEncrypted: 'vault:v1:newer',
      refreshTokenHash: 'hash-newer',
      receivedAt: minute(6),
    },
    aRecord('token.refresh', { channel: 'ch_1' }),
  );
  told.webhook.answerWith((response) => response.writeHead(204).end());
  told.clock.advance(60 * second);
  await told.notifier.runOnce();
  assert.equal(await stateOf(told), 'superseded');
  assert.deepEqual(
    told.webhook.received.map(({ event }) => event.type),
    ['token-broker.channel.needs_reconsent', 'token-broker.channel.recovered'],
  );
  assert.equal(told.webhook.received.at(-1)?.event.data.consent_link, null);
});

test('a fault of ours asks nobody, makes no link and is not counted', async (t) => {
  const signingSecrets = {
    current: async () => {
      throw new BrokerError('VAULT_SEALED');
    },
    replace: async () => undefined,
  };
  const told = await useDeadChannel(t, { signingSecrets });
  for (let round = 0; round < 20; round += 1) {
    await told.notifier.runOnce();
    told.clock.advance(day);
  }
  const after = await told.store.notifications.find(told.id);
  assert.deepEqual([after?.state, after?.attempts, after?.lastProblem], ['waiting', 0, 'VAULT_SEALED']);
  assert.equal(after?.firstAttemptAt, undefined);
  assert.deepEqual(told.webhook.received, []);
  assert.deepEqual(await actsOn(told.store, 'ch_1'), ['channel.add', 'channel.state']);
});

test('while its OAuth client has an incident an owner is asked for nothing; after that, for what is still true', async (t) => {
  const told = await useDeadChannel(t);
  const suspicion = { oauthClient: 'uploads', channel: 'ch_1', generation: 1, error: 'invalid_client', at: minute(5) };
  const opened = () => aRecord('oauth-client.incident', { tenant: undefined });
  await told.store.clientIncidents.rejected(suspicion, opened);
  await told.store.clientIncidents.rejected({ ...suspicion, at: minute(6) }, opened);
  told.clock.advance(2 * 60 * second);
  await told.notifier.runOnce();
  assert.deepEqual(
    told.webhook.received.map(({ event }) => event.type),
    ['token-broker.oauth_client.incident'],
  );
  assert.equal((await told.store.notifications.find(told.id))?.lastProblem, 'OAUTH_CLIENT_FROZEN');
  const end = { oauthClient: 'uploads', kind: 'client_rejected', at: minute(9), by: 'alice' } as const;
  await told.store.clientIncidents.end(
    { ...end, ending: 'thawed' },
    () => aRecord('oauth-client.incident-end', { tenant: undefined }),
    (channel) => aRecord('channel.state', { channel }),
  );
  told.clock.advance(3 * 60 * second);
  await told.notifier.runOnce();
  assert.deepEqual(
    told.webhook.received
      .slice(1)
      .map(({ event }) => event.type)
      .toSorted(),
    ['token-broker.channel.needs_reconsent', 'token-broker.oauth_client.recovered'],
  );
});

test('two brokers that look at the same time send one message', async (t) => {
  const told = await useDeadChannel(t);
  const arrived = Promise.withResolvers<() => void>();
  told.webhook.answerWith((response) => arrived.resolve(() => response.writeHead(204).end()));
  const running = told.notifier.runOnce();
  const answer = await arrived.promise;
  assert.equal(await createNotifier(told.parts).runOnce(), 0);
  // Also one that found it due just before.
  const now = told.clock.now();
  assert.equal(await told.store.notifications.claim(told.id, now, new Date(now.getTime() + 60 * second)), undefined);
  answer();
  await running;
  assert.equal(told.webhook.received.length, 1);
  assert.equal(await stateOf(told), 'delivered');
});

test('a broker that is killed after the message arrived is followed by another, with the same id', async (t) => {
  const told = await useDeadChannel(t);
  const arrived = Promise.withResolvers<void>();
  told.webhook.answerWith(() => arrived.resolve());
  const child = spawn(process.execPath, [join(import.meta.dirname, '../support/notifier-process.ts')], {
    env: {
      DATABASE_URL: told.url,
      WEBHOOK_URL: told.webhook.url,
      WEBHOOK_CA: told.webhook.caFile,
      NOW: told.clock.now().toISOString(),
    },
    stdio: 'inherit',
  });
  await arrived.promise;
  child.kill('SIGKILL');
  await once(child, 'exit');

  told.webhook.answerWith((response) => response.writeHead(204).end());
  assert.equal(await told.notifier.runOnce(), 0, 'the claim holds');
  assert.equal(await told.jobs(), 1, 'others are woken at its end');
  told.clock.advance(60 * second);
  assert.equal(await told.notifier.runOnce(), 1);
  const [first, again] = told.webhook.received;
  assert.equal(told.webhook.received.length, 2);
  assert.equal(first?.id, again?.id);
  assert.equal((await told.store.notifications.list({ limit: 10 })).length, 1);
  assert.equal(await stateOf(told), 'delivered');
});

test('a slow broker whose claim was taken over cannot undo what the other wrote', async (t) => {
  const hold = Promise.withResolvers<void>();
  const sending = Promise.withResolvers<void>();
  const slow: NotificationReceiver = {
    async send() {
      sending.resolve();
      await hold.promise;
      return { problem: 'timed_out' };
    },
  };
  const told = await useDeadChannel(t);
  const first = createNotifier({ ...told.parts, receiver: slow });
  const running = first.runOnce();
  await sending.promise;
  told.clock.advance(60 * second);
  await told.notifier.runOnce();
  hold.resolve();
  await running;
  assert.equal(await stateOf(told), 'delivered');
  assert.equal(await told.jobs(), 0);
});

test('jobs deliver by themselves, also what was left waiting, and a receiver that hangs holds back only so many', async (t) => {
  const stored = await useStore(t);
  const { store } = stored;
  const ids = Array.from({ length: 7 }, (_, index) => `ch_${index}`);
  const channels = ids.map((id, index) =>
    anActiveChannel({ id, name: id }, { googleSubject: `google-${index}`, refreshTokenHash: `hash-${index}` }),
  );
  await fill(store, ...channels);
  const webhook = await useWebhookReceiver(t);
  const clock = aClock(minute(5));
  // The connections would be enough for all.
  const receiver = useReceiver(t, webhook, { concurrency: 50 });
  const notifier = createNotifier({ store, clock, receiver });
  const hanging: (() => void)[] = [];
  webhook.answerWith((response) => void hanging.push(() => response.writeHead(204).end()));
  const end = (id: string) => store.channels.changeState({ ...dead, id }, aRecord('channel.state', { channel: id }));
  await end('ch_0');
  notifier.start();
  atEnd(t, () => notifier.stop());
  await until('the first one is sent', () => hanging.length === 1);
  for (const id of ids.slice(1)) await end(id);
  await until('as many as may are sent', () => hanging.length === 4);
  // The store is as quick as ever: nothing waits for the receiver.
  assert.equal((await store.channels.list({ state: 'needs_reconsent' })).length, 7);
  // Whoever is answered makes room for one more.
  for (const arrived of [5, 6, 7]) {
    hanging.shift()?.();
    await until(`${arrived} have arrived`, () => webhook.received.length >= arrived);
  }
  for (const answer of hanging) answer();
  await until(
    'all have arrived',
    async () => (await store.notifications.list({ state: 'delivered', limit: 10 })).length === 7,
  );
  assert.equal(webhook.mostOpen(), 4);
  assert.equal(new Set(webhook.received.map(({ id }) => id)).size, 7);
  assert.equal(webhook.received.length, 7);
});

test('one whose job was lost is woken again', async (t) => {
  const told = await useDeadChannel(t);
  await told.database.run((db) => sql`delete from graphile_worker._private_jobs`.execute(db));
  assert.equal(await told.store.notifications.wakeOverdue(minute(4), 10), 0);
  assert.equal(await told.store.notifications.wakeOverdue(minute(6), 10), 1);
  assert.equal(await told.jobs(), 1);
  assert.equal(await told.store.notifications.wakeOverdue(minute(6), 10), 0);
});
