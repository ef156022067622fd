/** Google tells of revoked tokens and disabled accounts: what it says is checked, taken in once, and acted on. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { sql } from 'kysely';
import type { SecurityEvent, SecurityEventType } from '../fake-google/security-events.ts';
import { securityEventTypes } from '../fake-google/security-events.ts';
import { useBroker } from '../support/broker.ts';
import { until } from '../support/poll.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { useConnection } from '../support/store.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const projectOf = (world: World) => world.google.updateClient('client-1.apps.example', {}).project;

describe('security events', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  let world: World;

  before(async () => {
    // Many owners take their permission back here, and nothing is wrong with the OAuth client.
    const settings = { BROKER_FREEZE_MINIMUM: '1000' };
    world = await useWorld(scope, { redisUrl: (await useRedis(scope)).url, settings });
    const url = `${world.broker.publicUrl}/v1/security-events`;
    world.google.securityEvents.register(projectOf(world), { url, events: Object.values(securityEventTypes) });
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  /** A channel of an owner of its own; with what Google knows of it. */
  async function channelOf(name: string) {
    const email = `${name}@example.com`;
    world.google.addAccount({ email, channels: [{ id: `UC${name}`, title: name, kind: 'personal' }] });
    const { id, consentLink } = await world.addChannel(name);
    await world.consent(consentLink, { account: email });
    const sub = (await world.channel(id)).grant?.googleSubject ?? '';
    const refreshToken = world.google.liveRefreshTokens().at(-1) ?? '';
    return { id, email, sub, refreshToken };
  }

  const deliver = (event: Omit<SecurityEvent, 'project'>) =>
    world.google.securityEvents.deliver({ project: projectOf(world), ...event });
  const stateOf = async (id: string) => {
    const { state, reason } = await world.channel(id);
    return [state, reason];
  };
  const recordsOf = async (id: string, action: string) =>
    (await world.store.audit.list({ channel: id, limit: 100 })).filter((record) => record.action === action);
  const revoke = (email: string) => world.google.revokeByOwner({ account: email, project: projectOf(world) });
  const asked = (email: string) =>
    world.google.faults.add({
      fault: { kind: 'latency', ms: 0 },
      where: { endpoint: 'token', grantType: 'refresh_token', account: email },
      times: 'always',
    });

  async function post(body: string | Buffer, headers: Record<string, string> = {}) {
    const response = await fetch(`${world.broker.publicUrl}/v1/security-events`, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', ...headers },
      body,
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  test('a refresh token that is named by its double hash is over at once, without asking Google', async () => {
    const { id, email, refreshToken } = await channelOf('hashed');
    revoke(email);
    const requests = asked(email);
    const { status, body } = await deliver({ type: 'token-revoked', refreshToken });
    assert.deepEqual([status, body], [202, '']);
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked']);
    assert.equal(requests.hits(), 0);
    const [record] = await recordsOf(id, 'channel.state');
    assert.deepEqual(
      [record?.result, record?.caller, record?.facts.type],
      ['RECONSENT_REQUIRED', 'google', 'token-revoked'],
    );
    requests.clear();
  });

  test('a refresh token that is named by its prefix is proven, and its end is told as what it is', async () => {
    const { id, email, refreshToken } = await channelOf('prefixed');
    revoke(email);
    await deliver({ type: 'token-revoked', refreshToken, identifiedBy: 'prefix' });
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked']);
  });

  test('a prefix that a living token has costs it one refresh and nothing else', async () => {
    const { id, email, refreshToken } = await channelOf('same-prefix');
    const requests = asked(email);
    await deliver({ type: 'token-revoked', refreshToken, identifiedBy: 'prefix' });
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
    assert.equal(requests.hits(), 1);
    requests.clear();
  });

  const provingTypes = [
    ['tokens-revoked', 'grant_revoked'],
    ['sessions-revoked', 'grant_revoked_or_expired'],
    ['account-disabled', 'account_disabled'],
  ] as const;
  for (const [type, reason] of provingTypes) {
    for (const form of ['subject_type', 'sub_id'] as const) {
      test(`${type} (${form}) has the account’s grants proven at once, and a dead one is found with its reason`, async () => {
        const { id, email, sub } = await channelOf(`dead-${type}-${form.replace('_', '-')}`);
        revoke(email);
        assert.equal((await deliver({ type, sub, form })).status, 202);
        await world.broker.refreshDue();
        assert.deepEqual(await stateOf(id), ['needs_reconsent', reason]);
      });
    }

    test(`${type} leaves a grant that lives as it is, for one refresh`, async () => {
      const { id, email, sub } = await channelOf(`alive-${type}`);
      const requests = asked(email);
      await deliver({ type, sub });
      await world.broker.refreshDue();
      assert.deepEqual(await stateOf(id), ['active', 'consented']);
      assert.equal(requests.hits(), 1);
      const [record] = await recordsOf(id, 'channel.security-event');
      assert.deepEqual([record?.facts.type, record?.facts.act], [type, 'prove']);
      requests.clear();
    });
  }

  test('what was told while a refresh was under way is proven after it, though that one had its answer', async () => {
    const { id, email, sub } = await channelOf('in-flight');
    world.google.advance(hour);
    const where = { endpoint: 'token', grantType: 'refresh_token', account: email } as const;
    const held = world.google.faults.add({ fault: { kind: 'held' }, where });
    world.google.counts.reset();
    const refreshed = world.broker.refreshDue();
    await world.google.counts.arrival(where);
    assert.equal((await deliver({ type: 'tokens-revoked', sub })).status, 202);
    held.clear();
    await refreshed;
    await world.broker.refreshDue();
    assert.equal(world.google.counts.requests(where), 2, 'the refresh that ran, and the proof');
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
  });

  test('an account in ID-token claims is found', async () => {
    const { id, email, sub } = await channelOf('claims');
    revoke(email);
    const subject = { subject_type: 'id_token_claims', iss: world.google.endpoints.issuer, sub, email };
    const events = { [securityEventTypes['tokens-revoked']]: { subject } };
    await deliver({ type: 'tokens-revoked', sub, claims: { events } });
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked']);
  });

  test('why an account was disabled goes on record', async () => {
    const { id, sub } = await channelOf('hijacked');
    await deliver({ type: 'account-disabled', sub, reason: 'hijacking' });
    const [record] = await recordsOf(id, 'channel.security-event');
    assert.equal(record?.facts.accountReason, 'hijacking');
  });

  test('a new consent forgets what was told of the grant before it', async () => {
    const { id, email, sub } = await channelOf('forgiven');
    await deliver({ type: 'account-disabled', sub });
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    await world.consent(url, { account: email });
    const { grant } = await world.channel(id);
    assert.deepEqual([grant?.generation, grant?.securityEvent], [2, undefined]);
  });

  test('account-enabled takes the blame back: a later end is not told as the account’s', async () => {
    const { id, email, sub } = await channelOf('enabled');
    await deliver({ type: 'account-disabled', sub });
    assert.equal((await world.channel(id)).grant?.securityEvent?.type, 'account-disabled');
    await deliver({ type: 'account-enabled', sub });
    assert.equal((await world.channel(id)).grant?.securityEvent, undefined);
    revoke(email);
    world.google.advance(hour);
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked_or_expired']);
  });

  test('account-enabled wakes a channel that ended with its account, where the grant lives, and is told as its recovery', async () => {
    const { id, email, sub } = await channelOf('woken');
    const fault = world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_grant' },
      where: { endpoint: 'token', grantType: 'refresh_token', account: email },
      times: 'always',
    });
    await deliver({ type: 'account-disabled', sub });
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'account_disabled']);
    fault.clear();
    world.google.advance(hour);
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'account_disabled'], 'nobody has said anything yet');
    const before = new Date(world.google.now());
    await deliver({ type: 'account-enabled', sub });
    await until('it is active again', async () => (await stateOf(id)).join() === 'active,account_enabled');
    const { grant } = await world.channel(id);
    assert.ok(
      grant?.generation === 1 && grant.lastRefreshAt && grant.lastRefreshAt >= before,
      'Google was asked first',
    );
    const woken = (await recordsOf(id, 'channel.security-event')).find(({ facts }) => facts.type === 'account-enabled');
    assert.equal(woken?.facts.act, 'wake');
    const told = await world.store.notifications.list({ channel: id, limit: 10 });
    assert.deepEqual(told.map(({ type }) => type).sort(), ['channel.needs_reconsent', 'channel.recovered']);
  });

  test('account-enabled leaves a channel as it is whose grant is dead, asks once, and tells nobody', async () => {
    const { id, email, sub } = await channelOf('gone-for-good');
    revoke(email);
    await deliver({ type: 'account-disabled', sub });
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'account_disabled']);
    const requests = asked(email);
    await deliver({ type: 'account-enabled', sub });
    const sleeps = async () => {
      const database = useConnection(scope, world.databaseUrl);
      const { rows } = await database.run((db) =>
        sql<{ asleep: boolean }>`select wake_at is null as asleep from channels where id = ${id}`.execute(db),
      );
      return rows[0]?.asleep === true;
    };
    await until('it is known to be dead', async () => requests.hits() > 0 && (await sleeps()));
    assert.equal(requests.hits(), 1);
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'account_disabled']);
    assert.equal((await world.store.notifications.list({ channel: id, limit: 10 })).length, 1);
    requests.clear();
  });

  test('account-credential-change-required goes on record and asks Google nothing', async () => {
    const { id, email, sub } = await channelOf('credentials');
    const requests = asked(email);
    await deliver({ type: 'account-credential-change-required', sub });
    await world.broker.refreshDue();
    assert.equal(requests.hits(), 0);
    const [record] = await recordsOf(id, 'channel.security-event');
    assert.equal(record?.facts.act, 'note');
    requests.clear();
  });

  test('a verification goes on record with the text that it brings back', async () => {
    assert.equal((await deliver({ type: 'verification', state: 'are you there' })).status, 202);
    const records = await world.store.audit.list({ limit: 50 });
    const record = records.find(({ action }) => action === 'security-event.receive');
    assert.deepEqual([record?.facts.types, record?.facts.state], [['verification'], 'are you there']);
  });

  test('an event of a type that Google has yet to invent is taken in and does nothing', async () => {
    const { id, sub } = await channelOf('unheard-of');
    const events = { 'https://schemas.openid.net/secevent/risc/event-type/brand-new': { subject: 'anything' } };
    assert.equal((await deliver({ type: 'sessions-revoked', sub, claims: { events } })).status, 202);
    assert.deepEqual(await recordsOf(id, 'channel.security-event'), []);
  });

  test('an event about an owner whom nobody here knows is taken in', async () => {
    const { sub } = await channelOf('known');
    const subject = { subject_type: 'iss-sub', iss: `${world.google.endpoints.issuer}/`, sub: 'somebody-else' };
    const events = { [securityEventTypes['tokens-revoked']]: { subject } };
    assert.equal((await deliver({ type: 'tokens-revoked', sub, claims: { events } })).status, 202);
  });

  test('does not reach a grant that the owner gave after it', async () => {
    const { id, email, sub, refreshToken } = await channelOf('consented-anew');
    const old = await world.google.securityEvents.sign({ project: projectOf(world), type: 'tokens-revoked', sub });
    const ofToken = await world.google.securityEvents.sign({
      project: projectOf(world),
      type: 'token-revoked',
      refreshToken,
    });
    world.google.advance(hour);
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    await world.consent(url, { account: email });
    assert.equal((await world.channel(id)).grant?.generation, 2);
    const requests = asked(email);
    assert.deepEqual([(await post(old)).status, (await post(ofToken)).status], [202, 202]);
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
    assert.equal(requests.hits(), 0);
    assert.deepEqual(await recordsOf(id, 'channel.security-event'), []);
    requests.clear();
  });

  test('a channel that needs a new consent already is not told of again', async () => {
    const { id, email, sub, refreshToken } = await channelOf('twice-dead');
    revoke(email);
    await deliver({ type: 'token-revoked', refreshToken });
    await deliver({ type: 'tokens-revoked', sub });
    await world.broker.refreshDue();
    assert.equal((await recordsOf(id, 'channel.state')).length, 1);
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked']);
  });

  test('a lost event costs nothing: the next refresh finds what it would have told', async () => {
    const { id, email } = await channelOf('lost');
    revoke(email);
    world.google.advance(hour);
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'grant_revoked_or_expired']);
  });

  test('an event that is sent again is answered alike and does nothing', async () => {
    const { id, email, sub } = await channelOf('repeated');
    const requests = asked(email);
    const set = await world.google.securityEvents.sign({ project: projectOf(world), type: 'sessions-revoked', sub });
    const statuses = [(await post(set)).status];
    await world.broker.refreshDue();
    statuses.push((await post(set)).status, (await post(set)).status);
    await world.broker.refreshDue();
    assert.deepEqual(statuses, [202, 202, 202]);
    assert.equal(requests.hits(), 1);
    assert.equal((await recordsOf(id, 'channel.security-event')).length, 1);
    requests.clear();
  });

  test('two brokers that are sent one event at the same moment act on it once', async () => {
    const { id, sub } = await channelOf('two-brokers');
    const { vault, google, databaseUrl, redisUrl } = world;
    const clock = { now: () => new Date(google.now()) };
    const second = await useBroker(scope, { vault, google, databaseUrl, redisUrl, clock });
    const set = await google.securityEvents.sign({ project: projectOf(world), type: 'account-disabled', sub });
    const urls = [world.broker.publicUrl, second.publicUrl, world.broker.publicUrl, second.publicUrl];
    const statuses = await Promise.all(
      urls.map(async (url) => {
        const headers = { 'content-type': 'application/secevent+jwt' };
        return (await fetch(`${url}/v1/security-events`, { method: 'POST', headers, body: set })).status;
      }),
    );
    assert.deepEqual(statuses, [202, 202, 202, 202]);
    assert.equal((await recordsOf(id, 'channel.security-event')).length, 1);
  });

  describe('refuses', () => {
    /** What becomes of a token that is not what it should be: the error, and nothing else. */
    async function refused(body: string | Buffer, headers?: Record<string, string>) {
      const { status, text, headers: answered } = await post(body, headers);
      assert.equal(status, 400, text);
      assert.equal(answered.get('content-language'), 'en');
      return (JSON.parse(text) as { err: string }).err;
    }
    let target: Awaited<ReturnType<typeof channelOf>>;
    before(async () => {
      target = await channelOf('attacked');
    });
    after(async () => {
      await world.broker.refreshDue();
      assert.deepEqual(await stateOf(target.id), ['active', 'consented']);
      assert.deepEqual(await recordsOf(target.id, 'channel.security-event'), []);
    });
    const signed = (change: Partial<SecurityEvent> = {}, type: SecurityEventType = 'token-revoked') =>
      world.google.securityEvents.sign({
        project: projectOf(world),
        type,
        refreshToken: target.refreshToken,
        ...change,
      });
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');

    test('a signature of another key', async () =>
      assert.equal(await refused(await signed({ forged: true })), 'invalid_key'));

    test('claims that were changed under a good signature', async () => {
      const [head, body = '', signature] = (await signed()).split('.');
      const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as object;
      assert.equal(await refused(`${head}.${encode({ ...claims, jti: 'another' })}.${signature}`), 'invalid_key');
    });

    test('no signature at all, whatever the header says of it', async () => {
      const [, body, signature] = (await signed()).split('.');
      const none = encode({ alg: 'none', typ: 'secevent+jwt' });
      assert.equal(await refused(`${none}.${body}.`), 'invalid_request');
      assert.equal(await refused(`${none}.${body}.${signature}`), 'invalid_key');
    });

    test('a symmetric signature made with the public key', async () => {
      const [, body, signature] = (await signed()).split('.');
      assert.equal(
        await refused(`${encode({ alg: 'HS256', typ: 'secevent+jwt' })}.${body}.${signature}`),
        'invalid_key',
      );
    });

    test('an event for another project’s clients', async () => {
      assert.equal(await refused(await signed({ claims: { aud: ['another.apps.example'] } })), 'invalid_audience');
      assert.equal(await refused(await signed({ claims: { aud: [] } })), 'invalid_audience');
    });

    test('an event of another issuer', async () => {
      assert.equal(await refused(await signed({ claims: { iss: 'https://evil.example/' } })), 'invalid_issuer');
      // As ID tokens write it, which are signed by the same keys.
      const { issuer } = world.google.endpoints;
      assert.equal(await refused(await signed({ claims: { iss: issuer } })), 'invalid_issuer');
    });

    test('a token without jti, without events, or with a subject of nobody', async () => {
      assert.equal(await refused(await signed({ claims: { jti: undefined } })), 'invalid_request');
      assert.equal(await refused(await signed({ claims: { events: undefined } })), 'invalid_request');
      const events = { [securityEventTypes['tokens-revoked']]: { subject: { subject_type: 'iss-sub' } } };
      assert.equal(await refused(await signed({ claims: { events } })), 'invalid_request');
    });

    test('what is no token, too long, or sent as something else', async () => {
      assert.equal(await refused('not a token'), 'invalid_request');
      assert.equal(await refused(`${await signed()}.x`), 'invalid_request');
      assert.equal(await refused('x'.repeat(100_000)), 'invalid_request');
      assert.equal(await refused(await signed(), { 'content-type': 'application/json' }), 'invalid_request');
      assert.equal(await refused(await signed(), { 'content-encoding': 'gzip' }), 'invalid_request');
      const [head, , signature] = (await signed()).split('.');
      const deep = Buffer.from(`${'['.repeat(10_000)}`).toString('base64url');
      assert.equal(await refused(`${head}.${deep}.${signature}`), 'invalid_request');
    });

    test('every method but POST', async () => {
      const response = await fetch(`${world.broker.publicUrl}/v1/security-events`);
      assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST']);
    });

    test('and puts refusals on record without letting a stranger fill it', async () => {
      const records = await world.store.audit.list({ limit: 1_000 });
      const refusals = records.filter(({ result }) => result === 'SECURITY_EVENT_REJECTED');
      assert.equal(refusals.length, 1);
      assert.equal(refusals[0]?.callerKind, 'anonymous');
    });
  });

  test('takes an event in whose exp has passed, and one that is old', async () => {
    const { sub } = await channelOf('expired');
    const project = projectOf(world);
    const past = Math.floor((world.google.now() - 40 * day) / 1000);
    assert.equal(
      (
        await post(
          await world.google.securityEvents.sign({ project, type: 'sessions-revoked', sub, claims: { exp: past } }),
        )
      ).status,
      202,
    );
    assert.equal(
      (
        await post(
          await world.google.securityEvents.sign({ project, type: 'sessions-revoked', sub, claims: { iat: past } }),
        )
      ).status,
      202,
    );
  });
});

test('while Google’s keys or the database cannot be had, an event is not lost: it is to be sent again', async (t) => {
  // A RISC configuration that can be switched off.
  let up = false;
  let documents = 0;
  const gate = createServer(async (_request, response) => {
    documents += 1;
    if (!up) return void response.writeHead(503).end();
    const answer = await fetch(world.google.endpoints.riscConfiguration);
    response.writeHead(200, { 'content-type': 'application/json' }).end(await answer.text());
  });
  await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => gate.close(resolve)));
  const gateUrl = `http://127.0.0.1:${(gate.address() as AddressInfo).port}/risc`;
  const world = await useWorld(t, { settings: { BROKER_GOOGLE_RISC_CONFIGURATION_URL: gateUrl } });
  const id = await world.connectedChannel();
  const sub = (await world.channel(id)).grant?.googleSubject ?? '';
  const set = await world.google.securityEvents.sign({ project: projectOf(world), type: 'sessions-revoked', sub });
  const post = () =>
    fetch(`${world.broker.publicUrl}/v1/security-events`, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', connection: 'close' },
      body: set,
    });

  const away = await post();
  assert.deepEqual([away.status, away.headers.get('retry-after')], [503, '5']);
  await post();
  await post();
  assert.equal(documents, 1, 'Google is left in peace for a while');
  up = true;
  world.google.advance(6_000);
  assert.equal((await post()).status, 202);
  up = false;
  world.google.advance(2 * hour);
  assert.equal((await post()).status, 202, 'what was read once is good while it cannot be read anew');
});
