/** A channel is revoked: with all that Google ends with it, known beforehand; served no more; told to Google until it is known. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redis } from 'ioredis';
import { useRedis } from '../support/redis.ts';
import { refreshes, revocations, useRevokeWorld } from '../support/revoke-world.ts';
import { atEnd } from '../support/scope.ts';
import { isReady, readToken, until, useSidecar } from '../support/sidecar.ts';
import { useWorkload } from '../support/workload.ts';

const hour = 3_600_000;
const reason = 'contract ended';

test('what Google ends with a channel is known before, served by nobody after, and found dead by a proof of its own', async (t) => {
  const redis = await useRedis(t);
  const world = await useRevokeWorld(t, { redisUrl: redis.url });
  await world.addClient('second', '1234');
  await world.addClient('elsewhere', '5678');
  await world.addTenant('other');
  const channel = await world.connect('main', 'olga');
  const sameTenant = await world.connect('second', 'olga', { oauth_client: 'second' });
  const otherTenant = await world.connect('foreign', 'olga', { tenant: 'other' });
  const otherProject = await world.connect('elsewhere', 'olga', { oauth_client: 'elsewhere' });
  const otherOwner = await world.connect('anna', 'anna');
  await useWorkload(t, world, { name: 'uploads', reads: [channel, otherTenant, otherOwner] });
  const sidecar = await useSidecar(t, { vault: world.vault, broker: `127.0.0.1:${world.broker.grpcPort}` });
  await isReady(sidecar);
  for (const id of [channel, otherTenant, otherOwner]) assert.equal((await readToken(sidecar, id)).status, 200);

  const plan = await world.plan(channel);
  assert.deepEqual(plan.siblings.map(({ id }) => id).toSorted(), [sameTenant, otherTenant].toSorted());
  assert.deepEqual([plan.at_google, plan.unnamed], [true, { active: 0, suspended: 0 }]);
  assert.doesNotMatch(JSON.stringify(plan), /vault:v|sub-olga/);
  assert.equal((await world.channel(channel)).state, 'active');

  const begun = await world.revoke(channel);
  assert.deepEqual([begun.channel.state, begun.channel.reason], ['revoked', 'revoked_by_admin']);
  await until(async () => (await readToken(sidecar, channel)).body.error?.code === 'CHANNEL_REVOKED');
  await until(async () => (await world.outcome(channel)) === 'revoked');
  await until(async () => (await world.standing(otherTenant)) === 'needs_reconsent sibling_revoked');
  await until(async () => (await world.standing(sameTenant)) === 'needs_reconsent sibling_revoked');
  await until(async () => (await readToken(sidecar, otherTenant)).body.error?.code === 'RECONSENT_REQUIRED');
  assert.equal(world.revocationsSent(), 1);
  for (const id of [otherProject, otherOwner]) assert.equal((await world.channel(id)).state, 'active');
  assert.equal((await readToken(sidecar, otherOwner)).status, 200);
  const client = new Redis(redis.url);
  atEnd(t, () => client.disconnect());
  await until(async () =>
    (await client.keys('*')).every((key) => ![channel, otherTenant].some((id) => key.includes(id))),
  );

  const records = await world.store.audit.list({ channel, limit: 20 });
  const act = records.find(({ action }) => action === 'channel.revoke-request');
  assert.deepEqual([act?.caller, act?.facts.reason, act?.facts.siblings], [world.admin.subject, reason, 2]);
  assert.deepEqual([act?.facts.plan, act?.facts.named], [plan.digest, plan.siblings.map(({ id }) => id)]);
  assert.equal(records.find(({ action }) => action === 'channel.revoke')?.facts.outcome, 'revoked');
  const foreign = await world.store.audit.list({ channel: otherTenant, limit: 20 });
  assert.equal(foreign.find(({ action }) => action === 'channel.state')?.facts.reason, 'sibling_revoked');

  const told = await world.store.notifications.list({ limit: 20 });
  assert.deepEqual(
    told.map(({ type, channel: id, facts }) => [type, id, facts?.reason]).toSorted(),
    [sameTenant, otherTenant].map((id) => ['channel.needs_reconsent', id, 'sibling_revoked']).toSorted(),
  );

  const again = await world.call(world.admin, 'POST', `${channel}/revocation`, { plan: plan.digest, reason });
  assert.equal(again.code, 'CHANNEL_REVOKED');
  assert.equal((await world.call(world.admin, 'POST', `${channel}/consent-links`)).code, 'CHANNEL_REVOKED');
  // A sibling comes back by a consent, as from any other end.
  await world.reconsent(otherTenant, 'olga');
  await until(async () => (await readToken(sidecar, otherTenant)).status === 200);
});

test('an admin who may not see a sibling learns that it is there, and an operator learns which', async (t) => {
  const world = await useRevokeWorld(t);
  const bea = await world.stranger('bea');
  await world.addTenant('other');
  const channel = await world.connect('main', 'olga', { owner: bea.subject });
  const own = await world.connect('own', 'olga', { owner: bea.subject });
  const hidden = await world.connect('hidden', 'olga', { tenant: 'other' });
  await world.api('POST', `/v1/channels/${hidden}/suspend`, { reason: 'a break' });
  const seen = await world.call<Awaited<ReturnType<typeof world.plan>>>(bea, 'GET', `${channel}/revocation/plan`);
  assert.deepEqual([seen.body.siblings.map(({ id }) => id), seen.body.unnamed], [[own], { active: 0, suspended: 1 }]);
  assert.doesNotMatch(JSON.stringify(seen.body), new RegExp(hidden));
  const all = await world.plan(channel);
  assert.deepEqual(all.siblings.map(({ id }) => id).toSorted(), [own, hidden].toSorted());
  assert.equal(all.digest, seen.body.digest);

  const eve = await world.stranger('eve');
  assert.equal((await world.call(eve, 'GET', `${channel}/revocation/plan`)).code, 'CHANNEL_NOT_FOUND');
  const tried = await world.call(eve, 'POST', `${channel}/revocation`, { plan: all.digest, reason });
  assert.equal(tried.code, 'CHANNEL_NOT_FOUND');
  // The channel's owner, by the owner's own identity; what the owner could not see is not on that tenant's record either.
  const done = await world.call(bea, 'POST', `${channel}/revocation`, { plan: seen.body.digest, reason });
  assert.equal(done.code, 'ok');
  const [act] = (await world.store.audit.list({ channel, limit: 20 })).filter(
    ({ action, result }) => action === 'channel.revoke-request' && result === 'ok',
  );
  assert.deepEqual([act?.caller, act?.facts.siblings, act?.facts.named], [bea.subject, 2, [own]]);
});

test('what was agreed to is what is done: a plan that has changed meanwhile is refused, and nothing with it', async (t) => {
  const world = await useRevokeWorld(t);
  await world.addTenant('other');
  const channel = await world.connect('main', 'olga');
  const { digest } = await world.plan(channel);
  const sibling = await world.connect('late', 'olga', { tenant: 'other' });
  const tried = await world.call(world.admin, 'POST', `${channel}/revocation`, { plan: digest, reason });
  assert.deepEqual([tried.status, tried.code], [409, 'REVOCATION_PLAN_CHANGED']);
  const second = await world.plan(channel);
  assert.notEqual(second.digest, digest);
  // Another consent of the sibling is another grant, which nobody has agreed to end.
  await world.reconsent(sibling, 'olga');
  const again = await world.call(world.admin, 'POST', `${channel}/revocation`, { plan: second.digest, reason });
  assert.equal(again.code, 'REVOCATION_PLAN_CHANGED');
  assert.deepEqual(
    [await world.standing(channel), await world.standing(sibling), world.revocationsSent()],
    ['active consented', 'active consented', 0],
  );
  const refused = (await world.store.audit.list({ channel, limit: 20 })).filter(
    ({ result }) => result === 'REVOCATION_PLAN_CHANGED',
  );
  assert.equal(refused.length, 2);
});

test('Google down for longer than a revoked channel may be kept: told when it is back, and only then forgotten', async (t) => {
  const world = await useRevokeWorld(t, { settings: { BROKER_RETENTION_REVOKED: '1h' } });
  const channel = await world.connect('main', 'olga');
  const down = world.google.faults.add({ fault: { kind: 'status', status: 503 }, where: revocations, times: 'always' });
  await world.revoke(channel);
  await until(() => down.hits() === 1);
  assert.equal((await world.channel(channel)).state, 'revoked');
  for (let minutes = 0; minutes < 60 * 24; minutes += 15) {
    world.google.advance(15 * 60_000);
    await world.broker.continueRevocations();
  }
  await world.broker.refreshDue();
  // 2, 4, 8 … seconds and then 15 minutes apart: never given up, and never in a hurry.
  assert.ok(down.hits() > 80 && down.hits() <= 97, `${down.hits()} tries`);
  assert.match((await world.channel(channel)).grant?.refreshTokenEncrypted ?? '', /^vault:v1:/);
  const { revocation } = await world.status(channel);
  assert.deepEqual([revocation?.outcome, revocation?.answered_at], [null, null]);

  down.clear();
  world.google.advance(15 * 60_000);
  await world.broker.continueRevocations();
  assert.equal(await world.outcome(channel), 'revoked');
  assert.deepEqual(world.google.liveRefreshTokens(), []);
  world.google.advance(hour);
  await world.broker.refreshDue();
  assert.equal((await world.channel(channel)).grant, undefined);
});

test('a grant that was dead at Google is done, and its sibling lives on', async (t) => {
  const world = await useRevokeWorld(t);
  const channel = await world.connect('main', 'olga');
  world.google.revokeByOwner({ account: 'olga@example.com', project: 'practice-project' });
  const sibling = await world.connect('later', 'olga');
  await world.revoke(channel);
  await until(async () => (await world.outcome(channel)) === 'already_invalid');
  await until(() => world.google.counts.requests(refreshes) > 0);
  await world.broker.refreshDue();
  assert.deepEqual([await world.standing(sibling), world.revocationsSent()], ['active consented', 1]);
});

test('a grant that is bound by DPoP, of an OAuth client that is switched off, is taken back all the same', async (t) => {
  const world = await useRevokeWorld(t, { dpop: true, client: { dpop: 'required' } });
  const channel = await world.connect('main', 'olga');
  const sibling = await world.connect('other', 'olga');
  await world.api('POST', '/v1/oauth-clients/uploads/disable');
  await world.revoke(channel);
  await until(async () => (await world.outcome(channel)) === 'revoked');
  assert.deepEqual(world.google.liveRefreshTokens(), []);
  await world.broker.refreshDue();
  // Nothing is asked for a client that is off; the sibling stays due and is proven as soon as it is on.
  assert.equal(await world.standing(sibling), 'active consented');
  await world.api('POST', '/v1/oauth-clients/uploads/enable');
  await world.broker.refreshDue();
  assert.equal(await world.standing(sibling), 'needs_reconsent sibling_revoked');
});

test('a channel that nobody has consented to ends without a word to Google', async (t) => {
  const world = await useRevokeWorld(t);
  const { id, consentLink } = await world.addChannel('main');
  const { at_google, siblings } = await world.plan(id);
  assert.deepEqual([at_google, siblings], [false, []]);
  assert.equal((await world.revoke(id)).revocation, null);
  assert.equal((await (await fetch(consentLink)).text()).includes('does not work any more'), true);
  assert.equal(world.revocationsSent(), 0);
});

test('an owner without an identity disconnects by a link, once, and a newer link voids an older one', async (t) => {
  const world = await useRevokeWorld(t);
  await world.addTenant('other');
  const channel = await world.connect('main', 'olga');
  await world.connect('foreign', 'olga', { tenant: 'other' });
  const invite = () => world.api<{ url: string }>('POST', `/v1/channels/${channel}/revoke-links`);
  const [older, link] = [await invite(), await invite()];
  assert.equal((await fetch(older.url)).status, 400);
  const planIn = async () => / name="plan" value="([\w-]+)"/.exec(await (await fetch(link.url)).text())?.[1] ?? '';
  const press = async (plan: string) =>
    (await fetch(link.url, { method: 'POST', body: new URLSearchParams({ plan }), redirect: 'manual' })).status;

  const page = await (await fetch(link.url)).text();
  assert.match(page, /Of olga/);
  assert.match(page, /1 with other customers of ours/);
  const before = await planIn();
  await world.connect('late', 'olga', { tenant: 'other' });
  assert.equal(await press(before), 409);
  assert.equal(await world.standing(channel), 'active consented');
  assert.equal(await press(await planIn()), 303);
  assert.equal(await world.standing(channel), 'revoked revoked_by_owner');
  assert.equal(await press(before), 400);
  await until(async () => (await world.outcome(channel)) === 'revoked');
  const [act] = (await world.store.audit.list({ channel, limit: 50 })).filter(
    ({ action }) => action === 'channel.revoke-request',
  );
  assert.deepEqual([act?.callerKind, act?.facts.plan !== before], ['owner', true]);

  const lapsing = await world.connect('lapsing', 'anna');
  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${lapsing}/revoke-links`);
  world.google.advance(73 * hour);
  assert.equal((await fetch(url)).status, 400);
});
