/** From the end of a consent, or of an access, to the worker's own connection: nobody waits for a token to lapse. */
import assert from 'node:assert/strict';
import { Agent, get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { sql } from 'kysely';
import { until } from '../support/poll.ts';
import { superuserUrl, useOwnPostgres } from '../support/postgres.ts';
import { atEnd, type Scope } from '../support/scope.ts';
import { isReady, type RunningSidecar, useSidecar } from '../support/sidecar.ts';
import { migratedDatabase, useConnection } from '../support/store.ts';
import { useSubscription } from '../support/subscription.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';

test('a worker’s open connection is refused as soon as the consent has ended, and served after the next one', async (t) => {
  const world = await useWorld(t);
  const channel = await world.connectedChannel();
  const other = await world.connectedChannel('other');
  await useWorkload(t, world, { name: 'uploads', reads: [channel, other] });
  const sidecar = await useSidecar(t, { vault: world.vault, broker: `127.0.0.1:${world.broker.grpcPort}` });
  await isReady(sidecar);
  const read = useOneConnection(t, sidecar);
  assert.equal(await read(channel), '200');
  assert.equal(await read(other), '200');

  world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: { endpoint: 'token', grantType: 'refresh_token' },
    times: 'always',
  });
  // Only this one is due.
  const byHand = useConnection(t, superuserUrl(world.databaseUrl));
  await byHand.run((db) => sql`update channels set refresh_due_at = created_at where id = ${channel}`.execute(db));
  await world.broker.refreshDue();
  await until('the worker hears it', async () => (await read(channel)) === '403 RECONSENT_REQUIRED');
  assert.equal(await read(other), '200');

  world.google.faults.clear();
  const link = await world.api<{ url: string }>('POST', `/v1/channels/${channel}/consent-links`);
  await world.consent(link.url);
  await until('the worker is served again', async () => (await read(channel)) === '200');

  await byHand.run((db) => sql`delete from workload_access where channel = ${channel}`.execute(db));
  await until('the access has ended', async () => (await read(channel)) === '403 ACCESS_DENIED');
  await byHand.run((db) => sql`update channels set state = 'revoked', reason = 'revoked_by_admin'`.execute(db));
  await until('the tenant has ended', async () => (await read(other)) === '403 CHANNEL_REVOKED');
  assert.equal(read.connections(), 1);
});

test('a broker that cannot hear the database ends its subscriptions, says so, and takes them again', async (t) => {
  const postgres = await useOwnPostgres(t);
  const databaseUrl = await migratedDatabase(postgres.url('postgres'));
  const world = await useWorld(t, { databaseUrl });
  const channel = await world.connectedChannel();
  const workload = await useWorkload(t, world, { reads: [channel] });
  const stream = useSubscription(t, workload.subscribe, [channel]);
  await stream.stands(channel, 'AVAILABLE 1');
  await postgres.halt();
  await until('the stream ends', () => stream.end !== undefined, 40_000);
  assert.equal(stream.end?.error?.code, 'STORE_UNAVAILABLE');
  const { checks } = (await (await fetch(`${world.broker.operationsUrl}/readyz`)).json()) as {
    checks: { changes: string };
  };
  assert.equal(checks.changes, 'STORE_UNAVAILABLE');
  await postgres.start();
  const byHand = useConnection(t, superuserUrl(databaseUrl));
  await byHand.run((db) => sql`update channels set state = 'suspended', reason = 'suspended_by_admin'`.execute(db));
  await until('it is heard again', async () => {
    const again = useSubscription(t, workload.subscribe, [channel]);
    await until('it speaks or ends', () => again.end !== undefined || again.messages.length > 0);
    return again.standing(channel) === 'UNAVAILABLE 1 CHANNEL_SUSPENDED';
  });
});

/** Reads channels as a worker does, on one connection that stays open; answers status and code. */
function useOneConnection(scope: Scope, sidecar: RunningSidecar) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  atEnd(scope, async () => agent.destroy());
  const read = async (channel: string) => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { 'X-Sidecar-Request': 'true' };
      const request = get(`${sidecar.url}/v1/channels/${channel}/token`, { agent, headers }, resolve);
      request.on('socket', (socket) => sockets.add(socket));
      request.on('error', reject);
    });
    const body = JSON.parse((await response.toArray()).join('')) as { error?: { code: string } };
    return `${response.statusCode} ${body.error?.code ?? ''}`.trim();
  };
  return Object.assign(read, { connections: () => sockets.size });
}
