/**
 * Every way that a consent can go, on real Vault and PostgreSQL, with the practice Google. Each way says what the owner
 * is told, what is stored, and what is audited.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { AuditRecord } from '../../broker/domain/audit-record.ts';
import { youtubeScope } from '../fake-google/scopes.ts';
import { createOwnerBrowser, type Page } from '../support/owner-browser.ts';
import { owner, useWorld, type World } from '../support/world.ts';

const minute = 60_000;

describe('a consent', () => {
  const cleanups: (() => Promise<void>)[] = [];
  let world: World;

  before(async () => {
    world = await useWorld({ after: (clean) => void cleanups.push(clean) });
    world.google.addAccount({
      email: 'other@example.com',
      channels: [{ id: 'UCother', title: 'Other', kind: 'personal' }],
    });
    world.google.addAccount({ email: 'empty@example.com', channels: [] });
    world.google.addAccount({
      email: 'both@example.com',
      channels: [
        { id: 'UCperson', title: 'Person', kind: 'personal' },
        { id: 'UCbrand', title: 'Brand', kind: 'brand' },
      ],
    });
  });
  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  /** The newest audit records of a channel, newest first. */
  async function records(channel: string): Promise<readonly AuditRecord[]> {
    return world.store.audit.list({ channel, limit: 50 });
  }

  async function lastRecord(channel: string): Promise<AuditRecord> {
    const [record] = await records(channel);
    assert.ok(record, 'nothing was audited');
    return record;
  }

  /** Nothing of a grant is stored, and the channel waits for its first consent. */
  async function assertNothingStored(id: string): Promise<void> {
    const channel = await world.channel(id);
    assert.equal(channel.state, 'pending_consent');
    assert.equal(channel.grant, undefined);
    assert.deepEqual(await world.store.consents.unfinished(new Date(world.google.now() + minute), 100), []);
  }

  async function assertFailure(id: string, failure: string): Promise<AuditRecord> {
    const record = await lastRecord(id);
    assert.equal(record.action, 'consent.complete');
    assert.equal(record.result, 'CONSENT_FAILED');
    assert.equal(record.facts.failure, failure);
    assert.equal(record.ip, '127.0.0.1');
    return record;
  }

  function assertTold(page: Page, words: RegExp): void {
    assert.match(page.text, words);
    assert.doesNotMatch(page.text, /undefined|null|Error:| {4}at /);
  }

  test('ends with an active channel whose refresh token only Vault can read', async () => {
    const { id, consentLink } = await world.addChannel('whole-way');
    const page = await world.consent(consentLink);
    assertTold(page, /Main channel/);
    const { state, grant } = await world.channel(id);
    assert.equal(state, 'active');
    assert.ok(grant);
    assert.match(grant.refreshTokenEncrypted, /^vault:v1:/);
    assert.equal(grant.generation, 1);
    assert.equal(grant.youtubeChannelId, owner.channel.id);
    assert.ok(grant.accessTokenCacheKey && grant.tokenExpiresAt && grant.lastRefreshAt && grant.refreshDueAt);

    const audited = (await records(id)).map(({ action, result }) => `${action} ${result}`);
    assert.deepEqual(audited, [
      'consent.complete ok',
      'consent.receive ok',
      'consent.begin ok',
      'consent.invite ok',
      'channel.add ok',
    ]);
    const received = (await records(id)).find(({ action }) => action === 'consent.receive');
    assert.equal(received?.ip, '127.0.0.1');
    assert.equal(received?.facts.userAgent, 'OwnerBrowser/1.0');
  });

  test('asks for exactly what is needed: PKCE, offline access, the chooser, no scopes of others', async () => {
    const { consentLink } = await world.addChannel('request');
    const url = new URL(await createOwnerBrowser().start(consentLink));
    const asked = Object.fromEntries(url.searchParams);
    assert.equal(asked.response_type, 'code');
    assert.equal(asked.access_type, 'offline');
    assert.equal(asked.prompt, 'consent select_account');
    assert.equal(asked.code_challenge_method, 'S256');
    assert.equal(asked.redirect_uri, world.broker.redirectUri);
    assert.equal(asked.include_granted_scopes, undefined);
    assert.equal(asked.scope, `${youtubeScope.upload} ${youtubeScope.readonly} openid email`);
    assert.match(asked.state ?? '', /^[\w-]{43}$/);
    assert.match(asked.code_challenge ?? '', /^[\w-]{43}$/);
  });

  test('that is denied leaves everything as it was, and the link can be used again', async () => {
    const { id, consentLink } = await world.addChannel('denied');
    const page = await world.consent(consentLink, { decision: 'deny' });
    assertTold(page, /You did not give permission/);
    await assertNothingStored(id);
    await assertFailure(id, 'denied');
    const shown = await world.api<{ newest_consent: { status: string; failure: string } }>('GET', `/v1/channels/${id}`);
    assert.equal(shown.newest_consent.status, 'pending');
    assert.equal(shown.newest_consent.failure, 'denied', 'the admin sees why');

    await world.consent(consentLink);
    assert.equal((await world.channel(id)).state, 'active');
  });

  test('with a state that was never given out is refused', async () => {
    const before = world.google.counts.requests({ endpoint: 'token' });
    const page = await createOwnerBrowser().open(`${world.broker.redirectUri}?state=${'x'.repeat(43)}&code=stolen`);
    assertTold(page, /start/i);
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), before);
    const [record] = await world.store.audit.list({ limit: 1 });
    assert.equal(record?.result, 'INVALID_AUTHORIZATION_RESPONSE');
    assert.equal(record?.facts.reason, 'unknown state');
    // Nobody can fill the record with them: those of the same source and minute come as one, with their count.
    for (let time = 0; time < 5; time += 1) {
      await createOwnerBrowser().open(`${world.broker.redirectUri}?state=${'x'.repeat(42)}${time}&code=stolen`);
    }
    const refused = (await world.store.audit.list({ limit: 10 })).filter(
      ({ facts }) => facts.reason === 'unknown state',
    );
    assert.equal(refused.length, 1);
  });

  test('whose callback comes twice is completed once', async () => {
    const { id, consentLink } = await world.addChannel('replayed');
    const browser = createOwnerBrowser();
    const callback = await world.google.consent(await browser.start(consentLink), { account: owner.account });
    const cookies = new Map(browser.cookies);
    await browser.open(callback);
    const replay = createOwnerBrowser({ cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') });
    const before = world.google.counts.requests({ endpoint: 'token' });
    await replay.open(callback);
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), before);
    assert.equal((await lastRecord(id)).result, 'INVALID_AUTHORIZATION_RESPONSE');
    assert.equal((await lastRecord(id)).facts.reason, 'state used before');
    const { state, grant } = await world.channel(id);
    assert.deepEqual([state, grant?.generation], ['active', 1]);
  });

  test('whose callback comes from another browser is refused and can still be completed in the right one', async () => {
    const { id, consentLink } = await world.addChannel('other-browser');
    const browser = createOwnerBrowser();
    const callback = await world.google.consent(await browser.start(consentLink), { account: owner.account });
    const stranger = await createOwnerBrowser().open(callback);
    assertTold(stranger, /start/i);
    await assertNothingStored(id);
    assert.equal((await lastRecord(id)).facts.reason, 'state of another browser');

    await browser.open(callback);
    assert.equal((await world.channel(id)).state, 'active');
  });

  test('with an issuer that is not Google is refused before the code is used', async () => {
    const { id, consentLink } = await world.addChannel('wrong-issuer');
    const browser = createOwnerBrowser();
    const callback = new URL(await world.google.consent(await browser.start(consentLink), { account: owner.account }));
    callback.searchParams.set('iss', 'https://evil.example');
    const before = world.google.counts.requests({ endpoint: 'token' });
    assertTold(await browser.open(callback.href), /did not come from Google/);
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), before);
    await assertNothingStored(id);
    await assertFailure(id, 'wrong_issuer');
  });

  test('with the issuer said twice is refused, although both are right', async () => {
    const { id, consentLink } = await world.addChannel('twice-issuer');
    const browser = createOwnerBrowser();
    const callback = new URL(await world.google.consent(await browser.start(consentLink), { account: owner.account }));
    callback.searchParams.append('iss', world.google.endpoints.issuer);
    callback.searchParams.append('iss', world.google.endpoints.issuer);
    assertTold(await browser.open(callback.href), /did not come from Google/);
    await assertNothingStored(id);
    await assertFailure(id, 'wrong_issuer');
  });

  test('with a box left unticked tells the owner which one, and stores nothing', async () => {
    const { id, consentLink } = await world.addChannel('missing-scope');
    const page = await world.consent(consentLink, { untick: [youtubeScope.upload] });
    assertTold(page, /tick was missing/);
    await assertNothingStored(id);
    const record = await assertFailure(id, 'scope_missing');
    assert.deepEqual(record.facts.missingScopes, [youtubeScope.upload]);
  });

  test('of an account without a channel is refused', async () => {
    const { id, consentLink } = await world.addChannel('no-channel');
    const page = await world.consent(consentLink, { account: 'empty@example.com' });
    assertTold(page, /no YouTube channel/);
    await assertNothingStored(id);
    await assertFailure(id, 'no_channel');
  });

  test('renewed by another account is refused, and the first grant stands', async () => {
    const id = await world.connectedChannel('other-account');
    const first = (await world.channel(id)).grant;
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    const page = await world.consent(url, { account: 'other@example.com' });
    assertTold(page, /another Google Account/);
    await assertFailure(id, 'other_account');
    const channel = await world.channel(id);
    assert.equal(channel.state, 'active');
    assert.deepEqual(channel.grant, first);
  });

  test('renewed with another channel of the same person is refused, and the first grant stands', async () => {
    const { id, consentLink } = await world.addChannel('other-channel');
    await world.consent(consentLink, { account: 'both@example.com', channel: 'Brand' });
    const first = (await world.channel(id)).grant;
    assert.equal(first?.youtubeChannelId, 'UCbrand');
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    // A brand channel is an identity of its own at Google.
    assertTold(await world.consent(url, { account: 'both@example.com' }), /another Google Account/);
    await assertFailure(id, 'other_account');
    assert.deepEqual((await world.channel(id)).grant, first);
  });

  test('renewed by the same identity that has another channel now is refused, and the first grant stands', async () => {
    const id = await world.connectedChannel('drifted');
    const first = (await world.channel(id)).grant;
    const moved = JSON.stringify({ items: [{ id: 'UCmoved', snippet: { title: 'Moved' } }] });
    world.google.faults.add({ fault: { kind: 'status', status: 200, body: moved }, where: { endpoint: 'channels' } });
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    assertTold(await world.consent(url), /“Moved”.*“Main channel”/);
    await assertFailure(id, 'other_channel');
    assert.deepEqual((await world.channel(id)).grant, first);
  });

  test('renewed by the same owner brings a new generation', async () => {
    const id = await world.connectedChannel('renewed');
    const first = (await world.channel(id)).grant;
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    await world.consent(url);
    const second = (await world.channel(id)).grant;
    assert.equal(second?.generation, 2);
    assert.notEqual(second?.refreshTokenEncrypted, first?.refreshTokenEncrypted);
  });

  test('that takes longer than ten minutes has expired', async () => {
    const { id, consentLink } = await world.addChannel('expired');
    const browser = createOwnerBrowser();
    const callback = await world.google.consent(await browser.start(consentLink), { account: owner.account });
    world.google.advance(10 * minute);
    const page = await browser.open(callback);
    assertTold(page, /too long/);
    await assertNothingStored(id);
    await assertFailure(id, 'expired');
  });

  test('whose code exchange fails before Google answered stores nothing and can be repeated', async () => {
    const { id, consentLink } = await world.addChannel('exchange-before');
    const fault = world.google.faults.add({ fault: { kind: 'reset' }, where: { endpoint: 'token' }, times: 1 });
    const page = await world.consent(consentLink);
    assert.equal(fault.hits(), 1);
    assertTold(page, /Google is not answering/);
    await assertNothingStored(id);
    await assertFailure(id, 'google_unavailable');
    await world.consent(consentLink);
    assert.equal((await world.channel(id)).state, 'active');
  });

  test('whose tokens were issued but never arrived is not tried again with the same code', async () => {
    const { id, consentLink } = await world.addChannel('exchange-after');
    world.google.counts.reset();
    world.google.faults.add({ fault: { kind: 'reset' }, where: { endpoint: 'token' }, times: 1, when: 'after' });
    const page = await world.consent(consentLink);
    assertTold(page, /Google is not answering/);
    assert.equal(world.google.counts.requests({ endpoint: 'token' }), 1);
    await assertNothingStored(id);
    await assertFailure(id, 'google_unavailable');
  });

  test('at a client that Google does not know is our fault and is told so', async () => {
    const { id, consentLink } = await world.addChannel('bad-client');
    world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_client' },
      where: { endpoint: 'token' },
      times: 1,
    });
    assertTold(await world.consent(consentLink), /wrong on our side/);
    await assertNothingStored(id);
    await assertFailure(id, 'client_rejected');
  });

  test('whose YouTube check gets no answer is stored, and finished without the owner', async () => {
    const { id, consentLink } = await world.addChannel('youtube-down');
    const fault = world.google.faults.add({
      fault: { kind: 'status', status: 503 },
      where: { endpoint: 'channels' },
      times: 'always',
    });
    const page = await world.consent(consentLink);
    assertTold(page, /nothing (?:more|else)|by (?:itself|themselves)|need not/i);
    assert.equal((await world.channel(id)).state, 'pending_consent');
    assert.equal((await lastRecord(id)).action, 'consent.receive');

    fault.clear();
    world.google.advance(minute);
    await world.broker.refreshDue();
    const { state, grant } = await world.channel(id);
    assert.equal(state, 'active');
    assert.equal(grant?.youtubeChannelId, owner.channel.id);
    assert.equal((await lastRecord(id)).callerKind, 'scheduler');
  });

  test('link that was used, or is not one, leads to a page that says whom to ask', async () => {
    const { consentLink } = await world.addChannel('used-link');
    await world.consent(consentLink);
    for (const link of [consentLink, `${world.broker.publicUrl}/consent/${'x'.repeat(43)}`]) {
      const page = await createOwnerBrowser().open(link);
      assert.equal(page.status, 400);
      assertTold(page, /new (?:one|link)/);
    }
  });

  /** Google sends no refresh token where offline access was not asked for: the owner's address bar can do that. */
  async function consentOnline(consentLink: string): Promise<Page> {
    const browser = createOwnerBrowser();
    const url = new URL(await browser.start(consentLink));
    url.searchParams.set('access_type', 'online');
    return browser.open(await world.google.consent(url.href, { account: owner.account }));
  }

  test('that brings no refresh token is refused where none is stored', async () => {
    const { id, consentLink } = await world.addChannel('no-refresh-token');
    assertTold(await consentOnline(consentLink), /only for an hour/);
    await assertNothingStored(id);
    await assertFailure(id, 'no_refresh_token');
  });

  test('that brings no refresh token keeps the stored one', async () => {
    const id = await world.connectedChannel('kept-refresh-token');
    const first = (await world.channel(id)).grant;
    const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
    assertTold(await consentOnline(url), /Main channel/);
    assert.deepEqual((await world.channel(id)).grant, first);
    assert.equal((await lastRecord(id)).facts.refreshToken, 'kept');
  });
});
