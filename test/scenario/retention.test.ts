/** The broker deletes by itself, within the term, what a dead grant leaves; the owner can come back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { runCommand } from '../support/cli-process.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useWorld } from '../support/world.ts';

const day = 86_400_000;

test('a grant that its owner ended at Google is deleted after 30 days, on record, and the owner can connect again', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const alive = await world.connectedChannel('alive');
  const fault = world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: { endpoint: 'token', grantType: 'refresh_token' },
    times: 'always',
  });
  world.google.advance(3_600_000);
  await world.broker.refreshDue();
  fault.clear();
  assert.equal((await world.channel(id)).state, 'needs_reconsent');
  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${alive}/consent-links`);
  await world.consent(url);
  world.google.advance(29 * day);
  await world.broker.refreshDue();
  assert.ok((await world.channel(id)).grant);

  world.google.advance(day);
  await world.broker.refreshDue();
  const { state, grant } = await world.channel(id);
  assert.deepEqual({ state, grant }, { state: 'needs_reconsent', grant: undefined });
  assert.ok((await world.channel(alive)).grant, 'a channel that is alive was touched');
  const [run] = (await world.store.audit.list({ tenant: 'acme', limit: 50 })).filter(
    ({ action }) => action === 'retention.run',
  );
  assert.deepEqual([run?.callerKind, run?.facts.channels, run?.facts.startedBy], ['scheduler', [id], 'schedule']);

  const anew = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
  await world.consent(anew.url);
  const again = await world.channel(id);
  assert.deepEqual([again.state, again.grant?.generation], ['active', 2]);
});

test('the command shows what it would delete, deletes it as the role of the broker, and then has nothing to do', async (t) => {
  const world = await useWorld(t);
  const id = await world.connectedChannel();
  const client = new pg.Client({ connectionString: superuserUrl(world.databaseUrl) });
  await client.connect();
  await client.query(`update channels set state = 'revoked', updated_at = '2001-01-01' where id = $1`, [id]);
  await client.end();
  const env = { PATH: process.env.PATH, DATABASE_URL: world.databaseUrl };
  const planned = await runCommand(env, 'retention', 'run', '--dry-run', '-o', 'json');
  const { due } = JSON.parse(planned.stdout) as { due: { kind: string; count: number }[] };
  assert.deepEqual(
    due.find(({ kind }) => kind === 'revoked'),
    { tenant: 'acme', kind: 'revoked', count: 1 },
  );
  assert.ok((await world.channel(id)).grant);

  const { exitCode, stderr } = await runCommand(env, 'retention', 'run');
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /Done\. Each tenant’s audit record says what\./);
  assert.equal((await world.channel(id)).grant, undefined);
  const nothing = await runCommand(env, 'retention', 'run', '--dry-run');
  assert.doesNotMatch(nothing.stdout, /revoked/);
});
