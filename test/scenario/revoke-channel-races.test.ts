/** A revocation amid kills, other brokers, refreshes that are under way, and consents that come while it takes effect. */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServerProcess } from '../../broker/store/embedded/server-process.ts';
import { brokerEnvironment } from '../support/broker.ts';
import { compiledModules } from '../support/compiled.ts';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import {
  type RevokeWorld,
  reason,
  refreshes,
  revocations,
  useRevokeWorld,
  useSecondBroker,
} from '../support/revoke-world.ts';
import { atEnd } from '../support/scope.ts';
import { until } from '../support/sidecar.ts';
import { useWorkload } from '../support/workload.ts';

const minute = 60_000;
const brokerMain = join(import.meta.dirname, '../../broker/main.ts');

/** What has to be done now is done: Google told, siblings made due, and refreshed. */
async function settle(world: RevokeWorld): Promise<void> {
  await world.broker.continueRevocations();
  await world.broker.refreshDue();
}

test('a broker that is killed between the intent and Google’s answer is followed by another', async (t) => {
  const world = await useRevokeWorld(t);
  const channel = await world.connect('main', 'olga');
  const sibling = await world.connect('sibling', 'olga');
  const hang = world.google.faults.add({ fault: { kind: 'hang' }, where: revocations, times: 'always' });
  const environment = await brokerEnvironment(t, {
    vault: world.vault,
    google: world.google,
    databaseUrl: world.databaseUrl,
    redisUrl: undefined,
  });
  await world.broker.stop();
  const killed = startServerProcess({
    name: 'the broker',
    command: process.execPath,
    args: [brokerMain, 'serve'],
    env: { ...compiledModules(), ...environment, PATH: process.env.PATH ?? '' },
    log: () => undefined,
  });
  atEnd(t, () => killed.stop());
  await killed.line(/"msg":"broker serves"/, 60_000);
  const token = await world.admin.identityToken();
  const url = `${environment.BROKER_PUBLIC_URL}/v1/channels/${channel}/revocation`;
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const { digest: plan } = (await (await fetch(`${url}/plan`, { headers })).json()) as { digest: string };
  const begun = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ plan, reason }) });
  assert.equal(begun.status, 200);
  await until(() => world.google.counts.requests(revocations) > 0);
  killed.signal('SIGKILL');
  await killed.ended;
  hang.clear();
  assert.equal(await world.standing(channel), 'revoked revoked_by_admin');
  assert.equal(await world.outcome(channel), undefined);

  const next = await useSecondBroker(t, world);
  // The dead one's claim holds for a minute.
  await next.continueRevocations();
  assert.equal(await world.outcome(channel), undefined);
  world.google.advance(61_000);
  await next.continueRevocations();
  assert.equal(await world.outcome(channel), 'revoked');
  assert.deepEqual(world.google.liveRefreshTokens(), []);
  await next.refreshDue();
  assert.equal(await world.standing(sibling), 'needs_reconsent sibling_revoked');
});

test('two brokers tell Google once', async (t) => {
  const world = await useRevokeWorld(t);
  const channels: string[] = [];
  for (const name of ['one', 'two', 'three', 'four']) channels.push(await world.connect(name, name));
  const second = await useSecondBroker(t, world);
  const slow = world.google.faults.add({ fault: { kind: 'latency', ms: 300 }, where: revocations, times: 'always' });
  await Promise.all(channels.map((channel) => world.revoke(channel)));
  await Promise.all([1, 2, 3].flatMap(() => [world.broker.continueRevocations(), second.continueRevocations()]));
  await until(async () => (await Promise.all(channels.map(world.outcome))).every((outcome) => outcome === 'revoked'));
  assert.deepEqual([world.revocationsSent(), slow.hits()], [4, 4]);
  for (const channel of channels) assert.equal((await world.status(channel)).revocation?.attempts, 1);
});

test('a revocation that takes effect late is found at the sibling within the hour, not before', async (t) => {
  const world = await useRevokeWorld(t);
  world.google.setRevocationTiming({ delay: 4 * minute });
  const channel = await world.connect('main', 'olga');
  const sibling = await world.connect('sibling', 'olga');
  await world.revoke(channel);
  await until(async () => (await world.outcome(channel)) === 'revoked');
  await settle(world);
  assert.ok(world.google.counts.requests(refreshes) >= 1, 'the sibling was not proven');
  assert.equal(await world.standing(sibling), 'active consented');
  world.google.advance(minute);
  await settle(world);
  assert.equal(await world.standing(sibling), 'active consented');
  // It is proven again long before its token would be due.
  world.google.advance(4 * minute);
  await settle(world);
  assert.equal(await world.standing(sibling), 'needs_reconsent sibling_revoked');
  assert.equal(world.revocationsSent(), 1);
});

test('a consent that comes while Google’s answer is unknown is not ended by another try', async (t) => {
  const world = await useRevokeWorld(t);
  await world.addTenant('other');
  world.google.setRevocationTiming({ delay: 10 * minute });
  const channel = await world.connect('main', 'olga');
  const sibling = await world.connect('sibling', 'olga', { tenant: 'other' });
  // Google does it; the answer is lost.
  world.google.faults.add({ fault: { kind: 'reset' }, where: revocations, times: 1, when: 'after' });
  await world.revoke(channel);
  await until(async () => (await world.store.revocations.find(channel))?.attempts === 1);
  await until(async () => ((await world.store.revocations.find(channel))?.dueAt.getTime() ?? 0) > world.google.now());
  await world.reconsent(sibling, 'olga');
  assert.equal((await world.channel(sibling)).grant?.generation, 2);
  world.google.advance(minute);
  await settle(world);
  assert.deepEqual([await world.outcome(channel), world.revocationsSent()], ['kept_for_sibling', 1]);
  world.google.advance(15 * minute);
  await settle(world);
  assert.equal(await world.standing(sibling), 'active consented');
  assert.equal(world.google.liveRefreshTokens().length, 1);
});

test('a consent that Google ends with a revocation that was on its way is told as what it is', async (t) => {
  const world = await useRevokeWorld(t);
  world.google.setRevocationTiming({ delay: 10 * minute, reachesLaterConsents: true });
  const channel = await world.connect('main', 'olga');
  const sibling = await world.connect('sibling', 'olga');
  await world.revoke(channel);
  await until(async () => (await world.outcome(channel)) === 'revoked');
  await world.reconsent(sibling, 'olga');
  const later = await world.connect('later', 'olga');
  world.google.advance(20 * minute);
  await settle(world);
  for (const id of [sibling, later]) assert.equal(await world.standing(id), 'needs_reconsent sibling_revoked');
  await world.reconsent(later, 'olga');
  world.google.advance(60 * minute);
  await settle(world);
  assert.equal(await world.standing(later), 'active consented');
  // Two days later the same is put down to the owner again.
  world.google.advance(48 * 60 * minute);
  world.google.revokeByOwner({ account: 'olga@example.com', project: 'practice-project' }, { delay: 0 });
  await settle(world);
  assert.equal(await world.standing(later), 'needs_reconsent grant_revoked_or_expired');
});

test('a refresh that is under way does not revive the channel, and the token that it brings is the one taken back', async (t) => {
  const world = await useRevokeWorld(t, { client: { rotateRefreshTokens: true } });
  const channel = await world.connect('main', 'olga');
  const workload = await useWorkload(t, world, { reads: [channel] });
  // Google has given a new refresh token and voided the former; the answer is on its way.
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: refreshes, when: 'after' });
  // Nothing is left of the token: who reads waits for the refresh.
  world.google.advance(61 * minute);
  const reading = workload.getAccessToken({ channelId: channel }).then(
    () => 'a token',
    (error: { code?: string }) => error.code,
  );
  await world.google.counts.arrival(refreshes);
  await world.revoke(channel);
  await until(async () => (await world.outcome(channel)) === 'already_invalid');
  assert.equal(world.google.liveRefreshTokens().length, 1, 'there is nothing left to take back');
  held.clear();
  assert.equal(await reading, 'CHANNEL_REVOKED');
  await until(async () => {
    await settle(world);
    return world.google.liveRefreshTokens().length === 0;
  });
  await until(async () => (await world.outcome(channel)) === 'revoked');
  assert.equal(await world.standing(channel), 'revoked revoked_by_admin');
  assert.equal(world.revocationsSent(), 2);
  assert.equal((await world.channel(channel)).grant?.accessTokenCacheKey, undefined);
});

test('a new refresh token that a full disk refuses while its channel is being revoked is taken back all the same', async (t) => {
  const world = await useRevokeWorld(t, { client: { rotateRefreshTokens: true } });
  const channel = await world.connect('main', 'olga');
  const held = world.google.faults.add({ fault: { kind: 'held' }, where: refreshes, when: 'after' });
  world.google.advance(58 * minute);
  const refreshing = world.broker.refreshDue();
  await world.google.counts.arrival(refreshes);
  await world.revoke(channel);
  // Nothing can be written there any more, whoever this runs as.
  const received = join(world.broker.dataDirectory, 'received');
  await rm(received, { recursive: true });
  await writeFile(received, '');
  held.clear();
  await refreshing;
  await until(async () => {
    await settle(world);
    return world.google.liveRefreshTokens().length === 0;
  });
  await until(async () => (await world.outcome(channel)) === 'revoked');
  assert.equal(await world.standing(channel), 'revoked revoked_by_admin');
  assert.ok(world.broker.log.some((line) => line.includes('the spool of refresh tokens cannot be written')));
});

test('a consent that is under way when the channel is revoked does not come about, at whatever moment it is met', async (t) => {
  const world = await useRevokeWorld(t);
  const account = 'olga@example.com';
  const early = await world.connect('early', 'olga');
  const browser = createOwnerBrowser();
  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${early}/consent-links`);
  const callback = await world.google.consent(await browser.start(url), { account });
  await world.revoke(early);
  await until(async () => (await world.outcome(early)) === 'revoked');
  assert.match((await browser.open(callback)).text, /not being connected any more/);
  assert.equal(world.google.counts.requests({ endpoint: 'token', grantType: 'authorization_code' }), 1);
  assert.equal((await world.store.consents.newest(early))?.failure, 'channel_closed');

  // The code has been redeemed; what it brought waits for its checks, because YouTube does not answer.
  const { id: late, consentLink } = await world.addChannel('late');
  world.google.faults.add({ fault: { kind: 'status', status: 503 }, where: { endpoint: 'channels' }, times: 'always' });
  await world.consent(consentLink, { account });
  assert.equal((await world.store.consents.newest(late))?.status, 'received');
  await world.revoke(late);
  world.google.faults.clear();
  world.google.advance(10 * minute);
  await world.broker.refreshDue();
  const ended = await world.store.consents.newest(late);
  assert.deepEqual([ended?.status, ended?.failure], ['pending', 'channel_closed']);
  assert.deepEqual(await world.store.consents.unfinished(new Date(world.google.now()), 10), []);
  assert.deepEqual([await world.standing(late), world.revocationsSent()], ['revoked revoked_by_admin', 1]);
});
