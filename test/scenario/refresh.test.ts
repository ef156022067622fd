/** Keeping tokens fresh: what each answer of Google's does to a channel, and what it must never do. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Channel } from '../../broker/domain/channel.ts';
import type { Fault } from '../fake-google/faults.ts';
import { useRedis } from '../support/redis.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;

function coded(status: number, error: string): Fault {
  return { kind: 'status', status, body: JSON.stringify({ error }) };
}

describe('the scheduler', () => {
  const cleanups: (() => Promise<void>)[] = [];
  let world: World;

  before(async () => {
    const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
    world = await useWorld(scope, { redisUrl: (await useRedis(scope)).url });
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  /** A channel of an owner of its own, so that faults can be asked for it alone. */
  async function channelOf(name: string): Promise<string> {
    const email = `${name}@example.com`;
    world.google.addAccount({ email, channels: [{ id: `UC${name}`, title: name, kind: 'personal' }] });
    const { id, consentLink } = await world.addChannel(name);
    await world.consent(consentLink, { account: email });
    return id;
  }

  function fail(name: string, fault: Fault, times: number | 'always' = 'always', when: 'before' | 'after' = 'before') {
    const where = { endpoint: 'token', grantType: 'refresh_token', account: `${name}@example.com` } as const;
    return world.google.faults.add({ fault, where, times, when });
  }

  /** Lets the channel's token come due and the scheduler run. */
  async function comeDue(id: string): Promise<Channel> {
    const due = (await world.channel(id)).grant?.refreshDueAt;
    assert.ok(due, 'the channel has no due time');
    world.google.advance(Math.max(0, due.getTime() - world.google.now()) + 1);
    await world.broker.refreshDue();
    return world.channel(id);
  }

  async function lastFacts(id: string, action: string) {
    const records = await world.store.audit.list({ channel: id, limit: 50 });
    const record = records.find((candidate) => candidate.action === action);
    assert.ok(record, `no ${action} was audited`);
    return record;
  }

  test('renews a token between 45 and 58 percent of its life, before anybody asks', async () => {
    const id = await channelOf('early');
    const first = (await world.channel(id)).grant;
    assert.ok(first?.lastRefreshAt && first.refreshDueAt && first.tokenExpiresAt);
    const part =
      (first.refreshDueAt.getTime() - first.lastRefreshAt.getTime()) /
      (first.tokenExpiresAt.getTime() - first.lastRefreshAt.getTime());
    assert.ok(part >= 0.45 && part <= 0.58, `${part}`);

    const { grant } = await comeDue(id);
    assert.ok(grant?.lastRefreshAt && grant.lastRefreshAt > first.lastRefreshAt);
    assert.ok(grant.tokenExpiresAt && grant.tokenExpiresAt > first.tokenExpiresAt);
    assert.equal(grant.refreshTokenEncrypted, first.refreshTokenEncrypted);
    assert.equal((await lastFacts(id, 'token.refresh')).result, 'ok');
  });

  test('keeps a rotated refresh token and uses it next time', async () => {
    const id = await channelOf('rotating');
    world.google.updateClient('client-1.apps.example', { rotateRefreshTokens: true });
    try {
      const first = (await world.channel(id)).grant?.refreshTokenEncrypted;
      const second = (await comeDue(id)).grant?.refreshTokenEncrypted;
      assert.notEqual(second, first);
      const { state, grant } = await comeDue(id);
      assert.equal(state, 'active');
      assert.notEqual(grant?.refreshTokenEncrypted, second);
    } finally {
      world.google.updateClient('client-1.apps.example', { rotateRefreshTokens: false });
    }
  });

  test('asks once more before it believes that a grant is dead', async () => {
    const id = await channelOf('doubtful');
    const fault = fail('doubtful', { kind: 'error', error: 'invalid_grant' }, 1);
    const { state, grant } = await comeDue(id);
    assert.equal(fault.hits(), 1);
    assert.equal(state, 'active');
    assert.equal(grant?.lastFailure, undefined);
  });

  test('takes a confirmed dead grant to needs_reconsent at once, once, and keeps what is stored', async () => {
    const id = await channelOf('dead');
    const fault = fail('dead', { kind: 'error', error: 'invalid_grant' });
    const { state, reason, grant } = await comeDue(id);
    assert.deepEqual([state, reason], ['needs_reconsent', 'grant_revoked_or_expired']);
    assert.equal(fault.hits(), 2);
    assert.match(grant?.refreshTokenEncrypted ?? '', /^vault:v1:/);
    assert.equal((await lastFacts(id, 'channel.state')).result, 'RECONSENT_REQUIRED');

    world.google.advance(24 * hour);
    await world.broker.refreshDue();
    assert.equal(fault.hits(), 2, 'a dead grant is asked about no more');
    fault.clear();
  });

  test('finds by itself that an owner took the permission back, and a new consent mends it', async () => {
    const id = await channelOf('withdrawn');
    world.google.revokeByOwner({ account: 'withdrawn@example.com', project: projectOf() });
    assert.equal((await comeDue(id)).state, 'needs_reconsent');

    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    await world.consent(url, { account: 'withdrawn@example.com' });
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.generation], ['active', 2]);
    assert.equal((await comeDue(id)).state, 'active');
  });

  test('names session control as the reason where Google does', async () => {
    const id = await channelOf('session');
    fail('session', { kind: 'error', error: 'invalid_rapt' });
    const { state, reason } = await comeDue(id);
    assert.deepEqual([state, reason], ['needs_reconsent', 'session_control']);
  });

  test('takes an administrator’s block to blocked, not to needs_reconsent', async () => {
    const id = await channelOf('blocked');
    fail('blocked', { kind: 'error', error: 'admin_policy_enforced' });
    const { state, reason } = await comeDue(id);
    assert.deepEqual([state, reason], ['blocked', 'admin_policy_enforced']);
  });

  const passing: readonly (readonly [string, Fault, string, ('before' | 'after')?])[] = [
    ['a rejected client', { kind: 'error', error: 'invalid_client' }, 'client_rejected'],
    ['an unauthorized client', { kind: 'error', error: 'unauthorized_client' }, 'client_rejected'],
    ['a deleted client', { kind: 'error', error: 'deleted_client' }, 'client_rejected'],
    ['a client that was switched off', { kind: 'error', error: 'disabled_client' }, 'client_rejected'],
    ['a nonce that is asked for again and again', { kind: 'error', error: 'use_dpop_nonce' }, 'dpop_rejected'],
    ['a request that Google calls wrong', { kind: 'error', error: 'invalid_request' }, 'request_rejected'],
    ['a refused DPoP proof', { kind: 'error', error: 'invalid_dpop_proof' }, 'dpop_rejected'],
    ['a code that Google has yet to invent', coded(400, 'brand_new'), 'request_rejected'],
    ['a word to come later', coded(400, 'temporarily_unavailable'), 'unavailable'],
    ['an error of the server that comes as a 400', coded(400, 'server_error'), 'unavailable'],
    ['a 403 that says what it is', coded(403, 'rate_limit_exceeded'), 'rate_limited'],
    ['a word to slow down', coded(400, 'slow_down'), 'rate_limited'],
    ['the human 403 page', { kind: 'html-403' }, 'rate_limited'],
    ['a 429', { kind: 'status', status: 429, retryAfter: 3000 }, 'rate_limited'],
    ['a 500', { kind: 'status', status: 500 }, 'unavailable'],
    ['a 503', { kind: 'status', status: 503 }, 'unavailable'],
    ['a reset', { kind: 'reset' }, 'unavailable'],
    ['an answer lost on the way', { kind: 'reset' }, 'unavailable', 'after'],
    ['an answer cut in half', { kind: 'cut-body' }, 'unavailable'],
  ];
  for (const [index, [what, fault, failureClass, when]] of passing.entries()) {
    test(`leaves a channel active after ${what}, tries again later, and recovers`, async () => {
      const name = `passing-${index}`;
      const id = await channelOf(name);
      const before = (await world.channel(id)).grant;
      const rule = fail(name, fault, 'always', when);
      const { state, grant } = await comeDue(id);
      assert.equal(rule.hits(), 1);
      assert.equal(state, 'active');
      assert.equal(grant?.lastFailure, failureClass);
      assert.equal(grant?.refreshFailures, 1);
      assert.equal(grant?.refreshTokenEncrypted, before?.refreshTokenEncrypted);
      assert.ok(grant?.refreshDueAt && grant.refreshDueAt.getTime() > world.google.now());
      if ('retryAfter' in fault) {
        assert.ok(grant.refreshDueAt.getTime() - world.google.now() > 2900_000, 'Retry-After is not obeyed');
      }
      rule.clear();
      const recovered = (await comeDue(id)).grant;
      assert.equal(recovered?.lastFailure, undefined);
      assert.equal(recovered?.refreshFailures, 0);
    });
  }

  test('does not touch a consent that came while the old grant was being refreshed', async () => {
    const id = await channelOf('overtaken');
    const due = (await world.channel(id)).grant?.refreshDueAt;
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    const where = { endpoint: 'token', grantType: 'refresh_token', account: 'overtaken@example.com' } as const;
    world.google.counts.reset();
    const held = world.google.faults.add({ fault: { kind: 'held' }, where });
    world.google.advance(Math.max(0, (due?.getTime() ?? 0) - world.google.now()) + 1);
    const refreshing = world.broker.refreshDue();
    await world.google.counts.arrival(where);
    await world.consent(url, { account: 'overtaken@example.com' });
    const renewed = (await world.channel(id)).grant;
    held.clear();
    await refreshing;
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.generation], ['active', 2]);
    assert.deepEqual(grant, renewed);
  });

  function projectOf(): string {
    return world.google.updateClient('client-1.apps.example', {}).project;
  }
});
