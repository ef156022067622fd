/** Consents whose checks were cut off are finished by the scheduler, each by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { useWorld } from '../support/world.ts';

const minute = 60_000;

test('a received grant that cannot be opened holds back no other', async (t) => {
  const world = await useWorld(t);
  const fault = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  const spoiled = await world.addChannel('spoiled');
  await world.consent(spoiled.consentLink);
  const good = await world.addChannel('good');
  await world.consent(good.consentLink);
  fault.clear();
  const database = new pg.Client({ connectionString: world.databaseUrl });
  await database.connect();
  // Moved there from another row: bound to its own place, it opens nowhere else.
  await database.query(
    `update consents set received_token_encrypted = (select received_token_encrypted from consents where channel = $1)
      where channel = $2`,
    [good.id, spoiled.id],
  );
  await database.end();

  world.google.advance(minute);
  await world.broker.refreshDue();
  assert.equal((await world.channel(good.id)).state, 'active');
  assert.equal((await world.channel(spoiled.id)).state, 'pending_consent');
  assert.ok(world.broker.log.some((line) => line.includes('fault in the broker')));
});

test('a received grant that Google refuses once is kept; it is given up where Google says so twice', async (t) => {
  const world = await useWorld(t);
  const away = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  const refuse = (times: number | 'always') =>
    world.google.faults.add({
      fault: { kind: 'error', error: 'invalid_grant' },
      where: { endpoint: 'token', grantType: 'refresh_token' },
      times,
    });
  const slip = await world.addChannel('slip');
  await world.consent(slip.consentLink);
  away.clear();
  refuse(1);
  world.google.advance(minute);
  await world.broker.refreshDue();
  assert.equal((await world.channel(slip.id)).state, 'active');

  const again = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  const dead = await world.addChannel('dead');
  await world.consent(dead.consentLink);
  again.clear();
  const refusals = refuse('always');
  world.google.advance(minute);
  await world.broker.refreshDue();
  assert.equal(refusals.hits(), 2);
  assert.equal((await world.store.consents.newest(dead.id))?.failure, 'code_rejected');
});

test('of two consents that waited for their checks one is the channel’s, and the other is given up', async (t) => {
  const world = await useWorld(t);
  const away = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: { endpoint: 'channels' },
    times: 'always',
  });
  const { id, consentLink } = await world.addChannel();
  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
  await world.consent(consentLink);
  await world.consent(url);
  away.clear();
  const looks = async () => {
    world.google.counts.reset();
    world.google.advance(minute);
    await world.broker.refreshDue();
    return world.google.counts.requests({ endpoint: 'channels' });
  };
  assert.equal(await looks(), 1);
  const channel = await world.channel(id);
  assert.deepEqual([channel.state, channel.grant?.generation], ['active', 1]);
  assert.equal((await world.store.consents.newest(id))?.failure, 'overtaken');
  assert.equal(await looks(), 0, 'Google is left in peace');
  assert.ok(!world.broker.log.some((line) => line.includes('fault in the broker')), 'it is no fault');
});

test('a grant that was received for a channel that has ended meanwhile is not used at Google any more', async (t) => {
  const world = await useWorld(t);
  world.google.faults.add({ fault: { kind: 'status', status: 503 }, where: { endpoint: 'channels' }, times: 'always' });
  const { id, consentLink } = await world.addChannel();
  await world.consent(consentLink);
  const database = new pg.Client({ connectionString: world.databaseUrl });
  await database.connect();
  await database.query(`update channels set state = 'revoked', reason = 'tenant_shredded' where id = $1`, [id]);
  await database.end();
  world.google.counts.reset();
  world.google.advance(minute);
  await world.broker.refreshDue();
  assert.equal(world.google.counts.requests({ endpoint: 'token' }), 0);
  assert.ok(!world.broker.log.some((line) => line.includes('fault in the broker')), 'it is no fault');
});
