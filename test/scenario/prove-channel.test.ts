/** The daily proof: scopes that were taken back and another YouTube channel are found, twice before they are believed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { refreshTokenHash } from '../../broker/domain/identifier.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import type { Fault } from '../fake-google/faults.ts';
import { aRecord } from '../support/store-fixtures.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const clientId = 'client-1.apps.example';
const enough =
  'openid email https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.readonly';

describe('the daily proof', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  let world: World;

  before(async () => {
    world = await useWorld(scope, { settings: { BROKER_FREEZE_MINIMUM: '1000' } });
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  async function channelOf(name: string) {
    const email = `${name}@example.com`;
    world.google.addAccount({ email, channels: [{ id: `UC${name}`, title: name, kind: 'personal' }] });
    const { id, consentLink } = await world.addChannel(name);
    await world.consent(consentLink, { account: email });
    return { id, email, sub: (await world.channel(id)).grant?.googleSubject ?? '' };
  }

  const stateOf = async (id: string) => {
    const { state, reason } = await world.channel(id);
    return [state, reason];
  };

  /** How often the channel was claimed. */
  async function claimsOf(id: string): Promise<number> {
    const database = new pg.Client({ connectionString: world.databaseUrl });
    await database.connect();
    const { rows } = await database.query<{ claim_fence: number }>('select claim_fence from channels where id = $1', [
      id,
    ]);
    await database.end();
    return rows[0]?.claim_fence ?? 0;
  }

  /** The next day comes, and with it everybody's proof. */
  async function nextDay(): Promise<void> {
    world.google.advance(day + hour);
    await world.broker.refreshDue();
  }

  function listsOf(email: string, fault: Fault, times: number | 'always' = 'always') {
    return world.google.faults.add({ fault, where: { endpoint: 'channels', account: email }, times });
  }
  const countLists = (email: string) => listsOf(email, { kind: 'latency', ms: 0 });
  const countRefreshes = (email: string) =>
    world.google.faults.add({
      fault: { kind: 'latency', ms: 0 },
      where: { endpoint: 'token', grantType: 'refresh_token', account: email },
      times: 'always',
    });

  /** The practice Google answers refreshes of this channel as for a grant with fewer scopes. */
  async function regrant(id: string, email: string, granted: string): Promise<void> {
    const { refreshToken } = world.google.grant({ clientId, account: email, scope: granted });
    await replaceToken(id, refreshToken);
  }

  /** Puts another refresh token of the same owner where the channel's is. */
  async function replaceToken(id: string, refreshToken: string): Promise<void> {
    const keys = createTenantKeys({ vault: await world.vault.asBroker(), transit: world.vault.layout.mounts.transit });
    const { tenant, grant } = await world.channel(id);
    assert.ok(grant);
    const token = new Secret(refreshToken);
    const { generation, refreshTokenHash: formerTokenHash } = grant;
    const rotated = {
      ...{ channel: id, generation, formerTokenHash, refreshTokenHash: refreshTokenHash(token) },
      refreshTokenEncrypted: await keys.encrypt({ tenant, channel: id, generation }, token),
      receivedAt: new Date(world.google.now()),
    };
    await world.store.channels.rotateToken(rotated, aRecord('token.refresh', { tenant, channel: id }));
  }

  test('asks YouTube once a day, and not at the refreshes between', async () => {
    const { id, email } = await channelOf('daily');
    const lists = countLists(email);
    for (let refreshes = 0; refreshes < 4; refreshes += 1) {
      world.google.advance(35 * 60_000);
      await world.broker.refreshDue();
    }
    // It may be the channel's time of the day just now.
    assert.ok(lists.hits() <= 1, `${lists.hits()} lists`);
    const before = lists.hits();
    await nextDay();
    assert.equal(lists.hits(), before + 1);
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
    lists.clear();
  });

  for (const [what, channels] of [
    ['another YouTube channel', [{ id: 'UCother', title: 'Other', kind: 'personal' }]],
    ['no YouTube channel any more', []],
  ] as const) {
    test(`finds ${what} behind the token, asks again, and takes the channel to needs_reconsent`, async () => {
      const { id, email, sub } = await channelOf(`drift-${channels.length}`);
      world.google.setChannels(sub, channels);
      const lists = countLists(email);
      await nextDay();
      assert.deepEqual(await stateOf(id), ['needs_reconsent', 'channel_drift']);
      assert.equal(lists.hits(), 2);
      const records = await world.store.audit.list({ channel: id, limit: 20 });
      const record = records.find(({ action }) => action === 'channel.state');
      assert.deepEqual(
        record?.facts.foundChannels,
        channels.map((channel) => channel.id),
      );
      await nextDay();
      assert.equal(lists.hits(), 2, 'and asks no more');
      lists.clear();
    });
  }

  test('believes no single list: where the second one has the channel, nothing is changed', async () => {
    const { id, email } = await channelOf('flicker');
    const emptyOnce = listsOf(email, { kind: 'status', status: 200, body: '{"items":[]}' }, 1);
    await nextDay();
    assert.equal(emptyOnce.hits(), 1);
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
  });

  test('counts no list that did not come for one of the two', async () => {
    const { id, email, sub } = await channelOf('half-seen');
    world.google.setChannels(sub, []);
    listsOf(email, { kind: 'status', status: 503 }, 1);
    await nextDay();
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
  });

  const unanswered: readonly (readonly [string, Fault])[] = [
    [
      'has no quota left for us',
      { kind: 'status', status: 403, body: '{"error":{"code":403,"errors":[{"reason":"quotaExceeded"}]}}' },
    ],
    ['refuses the token', { kind: 'status', status: 401 }],
    ['fails', { kind: 'status', status: 500 }],
    ['is away', { kind: 'status', status: 503 }],
    ['resets the connection', { kind: 'reset' }],
    ['answers half', { kind: 'cut-body' }],
    ['answers what is no list', { kind: 'status', status: 200, body: '<html>' }],
    ['answers no JSON object', { kind: 'status', status: 200, body: '[]' }],
  ];
  for (const [index, [what, fault]] of unanswered.entries()) {
    test(`changes nothing where YouTube ${what}, and asks again within the hour`, async () => {
      const { id, email, sub } = await channelOf(`quiet-${index}`);
      const rule = listsOf(email, fault);
      await nextDay();
      assert.ok(rule.hits() >= 1);
      assert.deepEqual(await stateOf(id), ['active', 'consented']);
      assert.equal((await world.channel(id)).grant?.refreshFailures, 0, 'it is no failure of the refresh');
      rule.clear();
      world.google.setChannels(sub, []);
      world.google.advance(hour + 1);
      await world.broker.refreshDue();
      assert.deepEqual(await stateOf(id), ['needs_reconsent', 'channel_drift']);
    });
  }

  test('finds scopes that were taken back, asks again, and takes the channel to needs_reconsent', async () => {
    const { id, email } = await channelOf('narrowed');
    const before = await claimsOf(id);
    const requests = countRefreshes(email);
    const lists = countLists(email);
    await regrant(id, email, 'openid email https://www.googleapis.com/auth/youtube.readonly');
    // At the first refresh that is answered so, not only the next day.
    await world.broker.refreshDue();
    await world.broker.refreshDue();
    assert.deepEqual(await stateOf(id), ['needs_reconsent', 'scope_reduced']);
    assert.equal(lists.hits(), 0, 'no quota is spent on what is known');
    assert.equal(requests.hits(), 3, 'the refresh that saw it, the proof, and its second question');
    assert.equal(
      await claimsOf(id),
      before + 3,
      'each under a claim of its own, so that no other broker asks meanwhile',
    );
    const records = await world.store.audit.list({ channel: id, limit: 20 });
    const record = records.find(({ action }) => action === 'channel.state');
    assert.deepEqual(record?.facts.missingScopes, ['https://www.googleapis.com/auth/youtube.upload']);
    requests.clear();
    lists.clear();
  });

  test('holds the channel until its second question is over, so that nobody else asks Google at the same time', async () => {
    const { id, email } = await channelOf('held');
    const where = { endpoint: 'token', grantType: 'refresh_token', account: email } as const;
    const body = JSON.stringify({ access_token: 'ya29.held', expires_in: 3600, token_type: 'Bearer', scope: 'openid' });
    world.google.faults.add({ fault: { kind: 'status', status: 200, body }, where });
    const hang = world.google.faults.add({ fault: { kind: 'hang' }, where, times: 'always' });
    world.google.advance(day + hour);
    world.google.counts.reset();
    const proving = world.broker.refreshDue();
    await world.google.counts.arrival(where, 2);
    /** As another broker does. */
    const claim = () => {
      const now = new Date(world.google.now());
      return world.store.channels.claim(id, { now, until: new Date(now.getTime() + 1_000), owner: 'another' });
    };
    assert.equal(await claim(), undefined);
    hang.clear();
    await proving;
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
    const free = await claim();
    assert.ok(free, 'a question that got no answer gives the channel back');
    await world.store.channels.giveBack(free);
  });

  test('believes no single answer of fewer scopes', async () => {
    const { id, email } = await channelOf('flicker-scopes');
    const body = JSON.stringify({
      access_token: 'ya29.narrow',
      expires_in: 3600,
      token_type: 'Bearer',
      scope: 'openid',
    });
    const where = { endpoint: 'token', grantType: 'refresh_token', account: email } as const;
    const narrow = world.google.faults.add({ fault: { kind: 'status', status: 200, body }, where });
    await nextDay();
    assert.equal(narrow.hits(), 1);
    assert.deepEqual(await stateOf(id), ['active', 'consented']);
  });

  test('takes scopes by their long names for the same', async () => {
    const { id, email } = await channelOf('long-names');
    await regrant(id, email, enough.replace('email', 'https://www.googleapis.com/auth/userinfo.email'));
    await nextDay();
    assert.equal((await world.channel(id)).state, 'active');
  });

  test('keeps no worker waiting: what is due to be proven is proven by the scheduler', async () => {
    const { id, email } = await channelOf('waiting');
    const workload = await useWorkload(scope, world, { reads: [id] });
    world.google.advance(day + hour);
    const lists = countLists(email);
    assert.match((await workload.getAccessToken({ channelId: id })).accessToken, /^ya29\./);
    assert.equal(lists.hits(), 0);
    world.google.advance(hour);
    await world.broker.refreshDue();
    assert.equal(lists.hits(), 1);
    lists.clear();
  });
});
