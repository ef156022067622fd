/** A workload reads a channel's token over mTLS: who gets it, which one, and what is on record. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { youtubeScope } from '../fake-google/scopes.ts';
import { useBroker } from '../support/broker.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { type TestWorkload, useWorkload } from '../support/workload.ts';
import { owner, useWorld, type World } from '../support/world.ts';

const minute = 60_000;
const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;

describe('a workload', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  let world: World;
  let channel: string;
  let workload: TestWorkload;

  before(async () => {
    world = await useWorld(scope, { redisUrl: (await useRedis(scope)).url });
    channel = await world.connectedChannel('main');
    workload = await useWorkload(scope, world, { reads: [channel] });
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  async function lastRelease(id = channel) {
    const records = await world.store.audit.list({ channel: id, limit: 50 });
    const record = records.find(({ action }) => action === 'token.release');
    assert.ok(record, 'no release was audited');
    return record;
  }

  async function refusalOf(request: Parameters<TestWorkload['getAccessToken']>[0], who = workload): Promise<string> {
    const error = await who.getAccessToken(request).then(
      () => assert.fail('a token was released'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof Error && 'code' in error);
    return String(error.code);
  }

  test('with access gets the token that YouTube takes, from the cache, on record', async () => {
    world.google.counts.reset();
    const answer = await workload.getAccessToken({ channelId: channel, reason: 'upload 42' });
    assert.match(answer.accessToken, /^ya29\./);
    assert.equal(answer.youtubeChannelId, owner.channel.id);
    assert.ok(answer.scopes.includes(youtubeScope.upload));
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);
    const response = await fetch(`${world.google.endpoints.youtube}/channels?part=id&mine=true`, {
      headers: { authorization: `Bearer ${answer.accessToken}` },
    });
    assert.equal(response.status, 200);

    const record = await lastRelease();
    assert.equal(record.result, 'ok');
    assert.equal(record.caller, workload.spiffeId);
    assert.equal(record.ip, '127.0.0.1');
    assert.equal(record.facts.reason, 'upload 42');
    assert.equal(record.facts.source, 'cache');
    assert.ok(!JSON.stringify(record).includes(answer.accessToken));
  });

  test('without access is refused, told nothing of the channel, and audited', async (t) => {
    const stranger = await useWorkload(t, world, { name: 'stranger' });
    assert.equal(await refusalOf({ channelId: channel }, stranger), 'ACCESS_DENIED');
    assert.equal(await refusalOf({ channelId: `ch_${'0'.repeat(26)}` }, stranger), 'ACCESS_DENIED');
    const record = await lastRelease();
    assert.deepEqual([record.result, record.caller], ['ACCESS_DENIED', stranger.spiffeId]);
  });

  test('is refused a scope that the owner did not grant', async () => {
    const scopes = ['https://www.googleapis.com/auth/youtube.force-ssl'];
    assert.equal(await refusalOf({ channelId: channel, scopes }), 'SCOPE_NOT_GRANTED');
    await workload.getAccessToken({ channelId: channel, scopes: [youtubeScope.upload] });
  });

  test('learns that a channel waits for its owner, and later that the owner has to consent again', async () => {
    const { id, consentLink } = await world.addChannel('waiting');
    await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: workload.spiffeId, reason: 'uploads' });
    assert.equal(await refusalOf({ channelId: id }), 'CONSENT_PENDING');

    await world.consent(consentLink);
    await workload.getAccessToken({ channelId: id });
    const fault = world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_grant' },
      where: refreshes,
      times: 'always',
    });
    // More life than the token has left: the broker has to ask Google.
    world.google.advance(50 * minute);
    const refusal = await refusalOf({ channelId: id, minTtlSeconds: 1800 });
    fault.clear();
    assert.equal(refusal, 'RECONSENT_REQUIRED');
    assert.equal((await world.channel(id)).state, 'needs_reconsent');
    assert.equal(await refusalOf({ channelId: id }), 'RECONSENT_REQUIRED');
  });

  test('and forty-nine others ask two brokers for a stale token at once: Google is asked once', async () => {
    const account = 'popular@example.com';
    world.google.addAccount({ email: account, channels: [{ id: 'UCpopular', title: 'Popular', kind: 'personal' }] });
    const { id, consentLink } = await world.addChannel('popular');
    await world.consent(consentLink, { account });
    await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: workload.spiffeId, reason: 'uploads' });
    const second = await useBroker(scope, {
      vault: world.vault,
      google: world.google,
      databaseUrl: world.databaseUrl,
      redisUrl: world.redisUrl,
      clock: { now: () => new Date(world.google.now()) },
    });
    const neighbour = await useWorkload(scope, { ...world, broker: second }, { name: 'uploader' });
    world.google.faults.add({ fault: { kind: 'latency', ms: 300 }, where: { ...refreshes, account } });
    world.google.counts.reset();

    world.google.advance(61 * minute);
    const asks = Array.from({ length: 50 }, (_, n) =>
      (n % 2 === 0 ? workload : neighbour).getAccessToken({ channelId: id }),
    );
    const tokens = new Set((await Promise.all(asks)).map((answer) => answer.accessToken));
    assert.equal(tokens.size, 1);
    const asked = world.google.counts.log(refreshes).filter((request) => request.account === account);
    assert.equal(asked.length, 1);
  });

  test('gets a token that is still valid although Google is down, and the record says so', async () => {
    const account = 'outage@example.com';
    world.google.addAccount({ email: account, channels: [{ id: 'UCoutage', title: 'Outage', kind: 'personal' }] });
    const { id, consentLink } = await world.addChannel('outage');
    await world.consent(consentLink, { account });
    await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: workload.spiffeId, reason: 'uploads' });
    const first = await workload.getAccessToken({ channelId: id });
    const fault = world.google.faults.add({
      fault: { kind: 'status', status: 503 },
      where: refreshes,
      times: 'always',
    });
    world.google.advance(57 * minute);
    const second = await workload.getAccessToken({ channelId: id });
    assert.equal(second.accessToken, first.accessToken);
    assert.equal((await lastRelease(id)).facts.source, 'cache-despite-failure');

    const third = await workload.getAccessToken({ channelId: id, minTtlSeconds: 600 });
    assert.equal(third.accessToken, first.accessToken, 'what is left is better than nothing');

    world.google.advance(3 * minute);
    world.google.counts.reset();
    for (let asks = 0; asks < 10; asks += 1) {
      assert.equal(await refusalOf({ channelId: id }), 'AUTHORIZATION_SERVER_UNAVAILABLE');
    }
    const asked = world.google.counts.log(refreshes).filter((request) => request.account === account);
    assert.ok(asked.length <= 2, `Google was asked ${asked.length} times`);

    fault.clear();
    world.google.advance(5_000);
    assert.notEqual((await workload.getAccessToken({ channelId: id })).accessToken, first.accessToken);
  });
});

describe('without Redis', () => {
  test('a token is served from the replica’s memory without asking Google, and a new one when it ends', async (t) => {
    const redis = await useRedis(t);
    const world = await useWorld(t, { redisUrl: redis.url });
    const channel = await world.connectedChannel();
    const workload = await useWorkload(t, world, { reads: [channel] });
    const first = await workload.getAccessToken({ channelId: channel });

    await redis.stop();
    world.google.counts.reset();
    const second = await workload.getAccessToken({ channelId: channel });
    assert.equal(second.accessToken, first.accessToken);
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);

    world.google.advance(59 * minute);
    const third = await workload.getAccessToken({ channelId: channel });
    assert.notEqual(third.accessToken, first.accessToken);
    await redis.start();
  });
});

describe('the broker', () => {
  test('keeps an access token in Redis only encrypted, and no longer than it lives', async (t) => {
    const redis = await useRedis(t);
    const world = await useWorld(t, { redisUrl: redis.url });
    const channel = await world.connectedChannel();
    const workload = await useWorkload(t, world, { reads: [channel] });
    const { accessToken } = await workload.getAccessToken({ channelId: channel });
    const client = new Redis(redis.url);
    atEnd(t, () => client.disconnect());
    const keys = await client.keys('*');
    assert.ok(keys.length > 0);
    for (const key of keys) {
      const value = await client.getBuffer(key);
      assert.ok(value && !value.includes(accessToken), `${key} holds the token in clear`);
      const ttl = await client.pttl(key);
      assert.ok(ttl > 0 && ttl <= 3_600_000, `${key} lives ${ttl} ms`);
    }
  });
});
