/**
 * Who may read what, and who is shut out, from the whole product with two brokers: what is said at one holds at the other, on
 * connections and streams that are open.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { youtubeScope } from '../fake-google/scopes.ts';
import { type RunningBroker, useBroker } from '../support/broker.ts';
import { until } from '../support/poll.ts';
import { useSubscription } from '../support/subscription.ts';
import { type TestWorkload, useWorkload } from '../support/workload.ts';
import { useWorld, type World } from '../support/world.ts';

const { upload, readonly } = youtubeScope;

describe('with two brokers', () => {
  const cleanups: (() => Promise<void>)[] = [];
  const scope = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  let world: World;
  let other: RunningBroker;
  let channel: string;
  let serial = '';

  before(async () => {
    world = await useWorld(scope, { settings: { BROKER_CRL_POLL_INTERVAL: '200ms' } });
    channel = await world.connectedChannel();
    other = await useBroker(scope, {
      vault: world.vault,
      google: world.google,
      databaseUrl: world.databaseUrl,
      redisUrl: world.redisUrl,
      clock: { now: () => new Date(world.google.now()) },
      settings: { BROKER_CRL_POLL_INTERVAL: '200ms' },
    });
  });

  after(async () => {
    for (const clean of cleanups.reverse()) await clean();
  });

  /** A workload at the other broker, with an open stream of the channel. */
  async function useNeighbour(name: string, path: string, terms: object = {}) {
    const workload = await useWorkload(scope, { ...world, broker: other }, { name });
    if (path !== '') await allow(path, terms);
    const stream = useSubscription(scope, workload.subscribe, [channel]);
    await until('it speaks', () => stream.messages.length > 0);
    return { workload, stream, idOf: workload.spiffeId };
  }

  const root = () => `spiffe://${world.vault.layout.trustDomain}/workload`;
  const allow = (spiffeId: string, terms: object = {}) =>
    world.api('POST', `/v1/channels/${channel}/workloads`, { spiffe_id: spiffeId, reason: 'a test', ...terms });
  const remove = (spiffeId: string) =>
    world.api('POST', `/v1/channels/${channel}/workloads/remove`, { spiffe_id: spiffeId, reason: 'over' });
  const read = (workload: TestWorkload, scopes: readonly string[] = []) =>
    workload.getAccessToken({ channelId: channel, scopes: [...scopes] });
  const code = (answer: Promise<unknown>) =>
    answer.then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  const records = async (action: string) =>
    (await world.store.audit.list({ channel, limit: 500 })).filter((record) => record.action === action);

  test('a rule for a path lets in all below it, and taking it back ends that on the open connection and stream', async () => {
    const { workload, stream, idOf } = await useNeighbour('below', `${root()}/*`);
    await stream.stands(channel, 'AVAILABLE 1');
    await read(workload);
    await allow(idOf);
    await remove(`${root()}/*`);
    await read(workload);
    await remove(idOf);
    await stream.stands(channel, 'DENIED 0 ACCESS_DENIED');
    assert.equal(await code(read(workload)), 'ACCESS_DENIED');
    const [refused] = await records('token.release');
    assert.deepEqual([refused?.result, refused?.caller], ['ACCESS_DENIED', idOf]);
    assert.deepEqual(
      (await records('workload.remove')).map(({ facts }) => facts.spiffeId),
      [idOf, `${root()}/*`],
    );
    await assert.rejects(remove(idOf), /NOT_FOUND/);
  });

  test('a rule ends at its time, on the open connection and stream', async () => {
    const expires_at = new Date(world.google.now() + 3_600_000).toISOString();
    const { workload, stream } = await useNeighbour('passing', `${root()}/passing`, { expires_at });
    await stream.stands(channel, 'AVAILABLE 1');
    await read(workload);
    world.google.advance(3_600_001);
    await stream.stands(channel, 'DENIED 0 ACCESS_DENIED');
    assert.equal(await code(read(workload)), 'ACCESS_DENIED');
    const past = { expires_at: new Date(world.google.now() - 1).toISOString() };
    await assert.rejects(allow(`${root()}/passing`, past), /lies in the past/);
  });

  test('a rule with fewer scopes than the grant needs a word that the token opens more; more cannot be asked for', async () => {
    const bounded = { scopes: [upload] };
    await assert.rejects(allow(`${root()}/bounded`, bounded), /TOKEN_TOO_WIDE/);
    const { workload, stream } = await useNeighbour('bounded', `${root()}/bounded`, {
      ...bounded,
      accept_wider_token: true,
    });
    await stream.stands(channel, 'AVAILABLE 1');
    assert.deepEqual((await read(workload, [upload])).scopes, [upload]);
    assert.equal(await code(read(workload, [readonly])), 'SCOPE_NOT_GRANTED');
    const { facts } = (await records('workload.allow')).find((record) => record.facts.scopes) ?? assert.fail();
    assert.deepEqual([facts.scopes, facts.widerToken], [[upload], true]);
  });

  test('the channel’s admins see its rules, by channel and by workload', async () => {
    const list = async (query: string) => {
      const answer = await world.api<{ workloads: { spiffe_id: string }[] }>('GET', `/v1/workloads?${query}`);
      return answer.workloads.map(({ spiffe_id }) => spiffe_id);
    };
    await allow(`${root()}/some/*`);
    assert.deepEqual(await list(`spiffe_id=${root()}/some/one`), [`${root()}/some/*`]);
    assert.ok((await list(`channel=${channel}`)).includes(`${root()}/bounded`));
    assert.ok((await list('tenant=acme')).includes(`${root()}/some/*`));
  });

  test('a workload that is shut out at one broker is refused at the other, its stream says so and ends, and it may come back', async () => {
    const { workload, stream, idOf } = await useNeighbour('shut', `${root()}/shut`);
    await stream.stands(channel, 'AVAILABLE 1');
    await world.api('POST', '/v1/workload-denials', { spiffe_id: idOf, reason: 'INC-42' });
    assert.equal((await stream.ended())?.code, 'WORKLOAD_DENIED');
    assert.equal(stream.standing(channel), 'DENIED 0 WORKLOAD_DENIED');
    assert.equal(await code(read(workload)), 'WORKLOAD_DENIED');
    const again = useSubscription(scope, workload.subscribe, [channel]);
    assert.equal((await again.ended())?.code, 'WORKLOAD_DENIED');
    const own = await world.store.audit.list({ limit: 500 });
    const refused = own.find((record) => record.result === 'WORKLOAD_DENIED');
    assert.equal(refused?.action, 'identity.verify');
    assert.match(String(refused?.facts.detail), new RegExp(`^${idOf} with the certificate `));

    const { denials } = await world.api<{ denials: { spiffe_id: string }[] }>('GET', '/v1/workload-denials');
    assert.deepEqual(
      denials.map(({ spiffe_id }) => spiffe_id),
      [idOf],
    );
    await world.api('POST', '/v1/workload-denials/lift', { spiffe_id: idOf, reason: 'over' });
    await until('it is let in', async () => (await code(read(workload))) === 'ok');
  });

  test('a certificate is shut out by its serial number, and another one of the workload is not', async () => {
    const { workload, stream, idOf } = await useNeighbour('certified', `${root()}/certified`);
    await read(workload);
    const [released] = await records('token.release');
    serial = String(released?.facts.certificate);
    await world.api('POST', '/v1/workload-denials', { serial: serial.toUpperCase(), reason: 'stolen' });
    assert.equal((await stream.ended())?.code, 'WORKLOAD_DENIED');
    const renewed = await useWorkload(scope, { ...world, broker: other }, { name: 'certified' });
    assert.equal(renewed.spiffeId, idOf);
    await read(renewed);
  });

  test('a tenant shuts a workload out of its channels, also where a rule for a path names it', async () => {
    const { workload, stream, idOf } = await useNeighbour('tenants', `${root()}/*`);
    await stream.stands(channel, 'AVAILABLE 1');
    await world.api('POST', '/v1/workload-denials', { spiffe_id: idOf, tenant: 'acme', reason: 'not ours' });
    await stream.stands(channel, 'DENIED 0 ACCESS_DENIED');
    assert.equal(await code(read(workload)), 'ACCESS_DENIED');
    await world.api('POST', '/v1/workload-denials/lift', { spiffe_id: idOf, tenant: 'acme', reason: 'ours' });
    await stream.stands(channel, 'AVAILABLE 1');
    await remove(`${root()}/*`);
  });

  test('a certificate that was revoked by Vault’s own tools is refused by both brokers, on open connections and streams', async () => {
    const { workload, stream } = await useNeighbour('revoked', `${root()}/revoked`);
    const here = await useWorkload(scope, world, { name: 'revoked' });
    await read(here);
    await read(workload);
    const [released] = await records('token.release');
    const { pki } = world.vault.layout.mounts;
    await world.vault.operator.write(`${pki}/revoke`, { serial_number: String(released?.facts.certificate) });
    assert.equal((await stream.ended())?.code, 'CERTIFICATE_REVOKED');
    assert.equal(stream.standing(channel), 'UNAVAILABLE 0 CERTIFICATE_REVOKED');
    assert.equal(await code(read(workload)), 'CERTIFICATE_REVOKED');
    assert.equal(await code(read(here)), 'ok', 'the same workload by another certificate');
    const metrics = await (await fetch(`${other.operationsUrl}/metrics`)).text();
    assert.match(metrics, /token_broker_revoked_certificates 1\n/);
    assert.match(metrics, /token_broker_crl_age_seconds 0(\.\d+)?\n/);
  });

  test('a broker that starts knows who is shut out before it lets anybody in', async () => {
    const idOf = `${root()}/early`;
    await world.api('POST', '/v1/workload-denials', { spiffe_id: idOf, reason: 'INC-43' });
    await allow(idOf);
    const late = await useBroker(scope, {
      vault: world.vault,
      google: world.google,
      databaseUrl: world.databaseUrl,
      redisUrl: world.redisUrl,
      clock: { now: () => new Date(world.google.now()) },
    });
    const workload = await useWorkload(scope, { ...world, broker: late }, { name: 'early' });
    assert.equal(await code(read(workload)), 'WORKLOAD_DENIED');
  });
});
