/**
 * Three brokers as processes of their own, on disks of their own, beside one PostgreSQL, Redis, Vault and practice Google.
 * One of them is killed, or gets no time, at each named step of a refresh: no refresh token is lost, none is used by two
 * at a time, no state is changed wrongly, and the others go on when the claim lapses.
 *
 * Time stands: a broker knows only what it has been told. So it is certain who comes first.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { refreshTokenHash } from '../../broker/domain/identifier.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { claimMs } from '../../broker/flow/refresh-channel.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { type HeldBroker, type Machine, useMachine } from '../support/held-brokers.ts';
import { addChannels } from '../support/many-channels.ts';
import { useRedis } from '../support/redis.ts';
import type { RefreshStep } from '../support/refresh-steps.ts';
import type { Scope } from '../support/scope.ts';
import { useWorkload } from '../support/workload.ts';
import { oauthClient, useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const clientId = 'client-1.apps.example';

interface Scene {
  readonly world: World;
  /** The channel. */
  readonly id: string;
  readonly machines: readonly Machine[];
  /** What runs on them. */
  readonly brokers: HeldBroker[];
}

async function useScene(scope: Scope, rotateRefreshTokens: boolean): Promise<Scene> {
  const { url: redisUrl } = await useRedis(scope);
  const world = await useWorld(scope, { redisUrl, client: { rotateRefreshTokens } });
  world.google.setClock(world.google.now());
  const id = await world.connectedChannel();
  const access = { spiffe_id: workloadSpiffeId(world.vault.layout.trustDomain, 'uploader'), reason: 'uploads' };
  await world.api('POST', `/v1/channels/${id}/workloads`, access);
  await world.broker.stop();
  // Long enough for two at a time to be seen.
  world.google.faults.add({ fault: { kind: 'latency', ms: 100 }, where: { endpoint: 'token' }, times: 'always' });
  // So that no broker can take everything that is due.
  const parts = { ...world, settings: { BROKER_REFRESH_CONCURRENCY: '4' } };
  const machines = await Promise.all([0, 1, 2].map(() => useMachine(scope, parts)));
  return { world, id, machines, brokers: await Promise.all(machines.map((machine) => machine.start())) };
}

const scenes = { kept: await useScene({ after }, false), replaced: await useScene({ after }, true) };

function at<T>(list: readonly T[], place: number): T {
  const found = list[place];
  assert.ok(found !== undefined);
  return found;
}

const asked = ({ world }: Scene) => world.google.counts.requests({ endpoint: 'token' });

/** All of them know the time, and look at the queue at once. */
async function allRefresh(brokers: readonly HeldBroker[]): Promise<void> {
  await Promise.all(brokers.map((broker) => broker.tellTime()));
  await Promise.all(brokers.map((broker) => broker.refreshDue()));
}

/** An hour later; has this one broker refresh what is due, and answers when it is held at the step. */
async function refreshUpTo(step: RefreshStep, { world }: Scene, broker: HeldBroker): Promise<void> {
  world.google.counts.reset();
  world.google.advance(hour);
  await held(step, broker);
}

async function held(step: RefreshStep, broker: HeldBroker): Promise<void> {
  const { reached } = await broker.holdAt(step);
  await broker.tellTime();
  const over = broker.refreshDue().then(() => assert.fail(`no refresh came to the step ${step}`));
  await Promise.race([reached, over]);
}

/** Goes on where it was held; resolves when its refresh, and what waited for it, is over. */
async function wakes(broker: HeldBroker, clock: 'right' | 'stood still' = 'right'): Promise<void> {
  const time = clock === 'right' ? broker.tellTime() : undefined;
  const over = Promise.all([time, broker.goOn(), broker.refreshDue()]);
  broker.wake();
  await over;
}

/** Nothing was lost, doubled or changed wrongly, now and ever before. */
async function assertUnharmed({ world, id }: Scene): Promise<void> {
  const { state, grant } = await world.channel(id);
  assert.equal(state, 'active');
  assert.equal(grant?.refreshFailures, 0);
  const live = world.google.liveRefreshTokens().map((token) => refreshTokenHash(new Secret(token)));
  assert.ok(live.includes(grant.refreshTokenHash), 'the stored refresh token is dead at Google');
  const records = await world.store.audit.list({ channel: id, limit: 200 });
  const others = records.filter(({ action, result }) => action === 'channel.state' || result !== 'ok');
  assert.deepEqual(others, [], 'a state was changed, or a refresh has failed');
  assert.equal(world.google.counts.snapshot().sameTokenPeak, 1, 'a refresh token was used by two at a time');
}

interface Killed {
  readonly step: RefreshStep;
  /** How often Google has been asked by then. */
  readonly asked: 0 | 1;
  /** Whether the others wait until the claim lapses, go on at once, or have nothing to do. */
  readonly others: 'wait' | 'go on' | 'have nothing to do';
}

const table: readonly Killed[] = [
  { step: 'before claim', asked: 0, others: 'go on' },
  { step: 'after claim', asked: 0, others: 'wait' },
  { step: 'after decrypt', asked: 0, others: 'wait' },
  { step: 'after Google’s answer', asked: 1, others: 'wait' },
  { step: 'after write', asked: 1, others: 'have nothing to do' },
  { step: 'before release', asked: 1, others: 'have nothing to do' },
];

for (const [name, scene] of Object.entries(scenes)) {
  for (const [row, { step, asked: before, others }] of table.entries()) {
    test(`refresh tokens are ${name}; a broker is killed ${step}: the others ${others}`, async () => {
      const { world, id, machines, brokers } = scene;
      const victim = row % brokers.length;
      await refreshUpTo(step, scene, at(brokers, victim));
      await at(brokers, victim).kill();
      assert.equal(asked(scene), before);
      const survivors = brokers.filter((_, place) => place !== victim);

      await allRefresh(survivors);
      assert.equal(asked(scene), others === 'go on' ? 1 : before, 'within the lease');
      brokers[victim] = await at(machines, victim).start();
      await at(brokers, victim).refreshDue();
      assert.deepEqual(await at(machines, victim).spooled(), []);

      world.google.advance(claimMs);
      await allRefresh(brokers);
      assert.equal(asked(scene), others === 'have nothing to do' ? before : before + 1, 'when the claim has lapsed');
      const { grant } = await world.channel(id);
      const end = world.google.now();
      assert.equal(grant?.lastRefreshAt?.getTime(), others === 'wait' ? end : end - claimMs);
      await assertUnharmed(scene);
    });
  }
}

test('a broker gets no time for longer than its claim, and writes after another has refreshed: it is refused', async () => {
  const { kept: scene } = scenes;
  const { world, id, brokers } = scene;
  const [slow, other] = [at(brokers, 0), at(brokers, 1)];
  await refreshUpTo('after Google’s answer', scene, slow);
  slow.pause();
  world.google.advance(claimMs);
  await allRefresh([other]);
  const refreshed = await world.channel(id);
  assert.equal(asked(scene), 2);

  await wakes(slow);
  assert.deepEqual(await world.channel(id), refreshed);
  assert.equal(asked(scene), 2);
  await assertUnharmed(scene);
});

test('a broker gets no time for longer than its claim, before it has asked: it asks nothing with a token that may be void', async () => {
  const { replaced: scene } = scenes;
  const { world, id, brokers } = scene;
  const [slow, other] = [at(brokers, 0), at(brokers, 1)];
  await refreshUpTo('after decrypt', scene, slow);
  slow.pause();
  world.google.advance(claimMs);
  await allRefresh([other]);
  const refreshed = await world.channel(id);

  await wakes(slow);
  assert.equal(asked(scene), 1);
  assert.deepEqual(await world.channel(id), refreshed);
  await assertUnharmed(scene);
});

test('a slow broker, its clock slow, too, asks with a refresh token that another has had replaced, and not stored yet: what Google says ends nothing', async () => {
  const { replaced: scene } = scenes;
  const { world, brokers } = scene;
  const [slow, other] = [at(brokers, 0), at(brokers, 1)];
  await refreshUpTo('after decrypt', scene, slow);
  slow.pause();
  world.google.advance(claimMs);
  await held('after Google’s answer', other);

  await wakes(slow, 'stood still');
  assert.equal(asked(scene), 3, 'the slow one was not refused twice');
  await other.goOn();
  await other.refreshDue();
  await assertUnharmed(scene);
});

test('a broker gets no time with the newest refresh token on its disk, and another finds the grant dead: it lives again', async () => {
  const { replaced: scene } = scenes;
  const { world, id, machines, brokers } = scene;
  const [slow, other] = [at(brokers, 0), at(brokers, 1)];
  await refreshUpTo('after Google’s answer', scene, slow);
  slow.pause();
  world.google.advance(claimMs);
  await allRefresh([other]);
  assert.equal((await world.channel(id)).state, 'needs_reconsent');

  await wakes(slow);
  await allRefresh(brokers);
  const { state, reason, grant } = await world.channel(id);
  assert.deepEqual([state, reason, grant?.refreshFailures], ['active', 'newer_token_stored', 0]);
  assert.equal(grant?.lastRefreshAt?.getTime(), world.google.now());
  assert.deepEqual(await at(machines, 0).spooled(), []);
});

test('three brokers share what is due, and one is killed with its part: each refresh token is used once, by one of them', async () => {
  const { kept: scene } = scenes;
  const { world, brokers } = scene;
  const ids = await addChannels(world, {
    name: 'many',
    oauthClient,
    clientId,
    count: 30,
    dueAt: new Date(world.google.now()),
  });
  world.google.counts.reset();
  const victim = at(brokers, 0);
  const survivors = brokers.slice(1);
  await held('after decrypt', victim);
  await allRefresh(survivors);
  const first = asked(scene);
  assert.ok(first < ids.length && first > 0, `the survivors have refreshed ${first} of ${ids.length}`);
  await victim.kill();
  world.google.advance(claimMs);
  await allRefresh(survivors);
  const used = world.google.counts.log({ endpoint: 'token' }).map(({ token }) => token);
  assert.deepEqual([used.length, new Set(used).size], [ids.length, ids.length]);
  assert.equal(world.google.counts.snapshot().sameTokenPeak, 1);
  const channels = await Promise.all(ids.map((id) => world.channel(id)));
  assert.ok(channels.every(({ state, grant }) => state === 'active' && grant?.lastRefreshAt !== undefined));
});

test('a broker is killed before the token that it has stored is in the cache: a worker gets one from another', async (t) => {
  const { kept: scene } = scenes;
  const { world, id, brokers } = scene;
  const [victim, other] = [at(brokers, 1), at(brokers, 2)];
  const worker = await useWorkload(t, { ...world, broker: { ...world.broker, grpcPort: other.grpcPort } });
  await refreshUpTo('before release', scene, victim);
  await victim.kill();
  await other.tellTime();
  const { accessToken } = await worker.getAccessToken({ channelId: id });
  assert.match(accessToken, /^ya29\./);
  assert.equal(asked(scene), 2);
});
