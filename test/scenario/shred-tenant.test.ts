/** A tenant is shredded: by two people, through outages and kills, to the proof that nothing of it decrypts. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { Redis } from 'ioredis';
import { z } from 'zod';
import { createCli } from '../../broker/cli/cli.ts';
import { loadOperatorConfig } from '../../broker/config.ts';
import type { ShredPlanAnswer, ShredStatusAnswer } from '../../broker/http/api/schemas.ts';
import { createOperator } from '../../broker/operator.ts';
import { startServerProcess } from '../../broker/store/embedded/server-process.ts';
import { grantContext } from '../../broker/vault/encryption-context.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { brokerEnvironment, useBroker } from '../support/broker.ts';
import { compiledModules } from '../support/compiled.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd } from '../support/scope.ts';
import { isReady, readToken, until, useSidecar } from '../support/sidecar.ts';
import { createPerson, type Person } from '../support/vault-people.ts';
import { useWorkload } from '../support/workload.ts';
import { tenant, useWorld, type World, type WorldOptions } from '../support/world.ts';

const brokerMain = join(import.meta.dirname, '../../broker/main.ts');
const revocations = { endpoint: 'revocation' } as const;
const reason = 'contract ended';

interface Answer {
  readonly status: number;
  readonly body: ShredPlanAnswer & ShredStatusAnswer & { readonly error?: { readonly code: string } };
}

/** The world with a second operator, and ways to act as each. */
async function useShredWorld(t: TestContext, options: WorldOptions = {}) {
  const world = await useWorld(t, options);
  const { layout, operator } = world.vault;
  const group = `${layout.mounts.transit}-operators`;
  const second = await createPerson(world.vault, { name: `bea-${layout.mounts.transit}`, groups: [group] });
  const tokens = new Map<Person, string>();

  async function call(who: Person, method: 'GET' | 'POST', path: string, body?: object): Promise<Answer> {
    const token = tokens.get(who) ?? (await who.identityToken());
    tokens.set(who, token);
    const response = await fetch(`${world.broker.publicUrl}/v1/tenants/${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  const confirm = tenant;
  const shredPath = `${tenant}/shred`;
  return {
    ...world,
    second,
    call,
    request: (who: Person = world.admin) => call(who, 'POST', shredPath, { confirm, reason }),
    approve: (who: Person) => call(who, 'POST', `${shredPath}/approve`, { confirm }),
    start: (more: object = {}) => call(world.admin, 'POST', `${shredPath}/start`, { confirm, ...more }),
    status: async () => (await call(world.admin, 'GET', shredPath)).body,
    /** The one that is there. */
    shred: async () => shredIn((await call(world.admin, 'GET', shredPath)).body),
    async state(): Promise<string> {
      return shredIn((await call(world.admin, 'GET', shredPath)).body).state;
    },
    /** As an operator does with Vault's own tools. */
    async destroyKey(): Promise<void> {
      const key = `${layout.mounts.transit}/keys/tenant-${tenant}`;
      await operator.write(`${key}/config`, { deletion_allowed: true });
      await operator.delete(key);
    },
    async until(wanted: string): Promise<void> {
      await until(async () => shredIn((await call(world.admin, 'GET', shredPath)).body).state === wanted);
    },
  };
}

/** With what it has for sure once it was started. */
function shredIn(status: ShredStatusAnswer) {
  assert.ok(status.shred, 'there is no shred');
  return status.shred;
}

function proofOf({ proof }: ReturnType<typeof shredIn>) {
  assert.ok(proof, 'there is no proof');
  return proof;
}

function codeOf({ body }: Answer): unknown {
  return body.error?.code ?? 'ok';
}

/** A channel with its own Google account, so that no revocation of another reaches it. */
async function connect(world: World, name: string, change: object = {}): Promise<string> {
  const account = `${name}@example.com`;
  world.google.addAccount({ email: account, channels: [{ id: `UC${name}`, title: `Of ${name}`, kind: 'personal' }] });
  const { id, consentLink } = await world.addChannel(name, change);
  await world.consent(consentLink, { account });
  assert.equal((await world.channel(id)).state, 'active');
  return id;
}

test('two people shred a tenant, and nothing of it decrypts, is cached or served any more; others live on', async (t) => {
  const redis = await useRedis(t);
  const world = await useShredWorld(t, { redisUrl: redis.url });
  const [one, two] = [await connect(world, 'one'), await connect(world, 'two')];
  await world.api('POST', '/v1/tenants', { name: 'other', admins: [] });
  const foreign = await connect(world, 'three', { tenant: 'other' });
  const workload = await useWorkload(t, world, { reads: [one, two, foreign] });
  const sidecar = await useSidecar(t, { vault: world.vault, broker: `127.0.0.1:${world.broker.grpcPort}` });
  const spiffe_id = workloadSpiffeId(world.vault.layout.trustDomain, 'uploads');
  await world.api('POST', `/v1/channels/${one}/workloads`, { spiffe_id, reason: 'uploads' });
  await isReady(sidecar);
  await until(async () => (await readToken(sidecar, one)).status === 200);
  const before = await Promise.all([one, two].map((id) => world.channel(id)));
  assert.equal(world.google.liveRefreshTokens().length, 3);

  const { body: plan } = await world.call(world.admin, 'GET', `${tenant}/shred/plan`);
  assert.deepEqual(
    plan.channels.map(({ id }) => id),
    [one, two],
  );
  assert.deepEqual(plan.workloads.toSorted(), [workload.spiffeId, spiffe_id].toSorted());
  assert.equal((await world.call(world.admin, 'POST', `${tenant}/shred`, { confirm: 'acme2', reason })).status, 400);
  assert.equal(codeOf(await world.start()), 'SHRED_NOT_FOUND');
  assert.equal((await world.request()).status, 201);
  assert.equal(codeOf(await world.request(world.second)), 'SHRED_EXISTS');
  assert.equal(codeOf(await world.start()), 'SHRED_NOT_APPROVED');
  assert.equal(codeOf(await world.approve(world.admin)), 'SHRED_SELF_APPROVAL');
  assert.equal((await workload.getAccessToken({ channelId: one })).youtubeChannelId, 'UCone');
  assert.equal(codeOf(await world.approve(world.second)), 'ok');
  assert.equal((await workload.getAccessToken({ channelId: one })).youtubeChannelId, 'UCone');

  assert.equal(codeOf(await world.start()), 'ok');
  await assert.rejects(workload.getAccessToken({ channelId: one }), { code: 'CHANNEL_REVOKED' });
  // It held a token, and nobody asked it to ask again.
  await until(async () => (await readToken(sidecar, one)).body.error?.code === 'CHANNEL_REVOKED');
  await world.until('awaiting_key_destruction');
  assert.deepEqual(world.google.liveRefreshTokens().length, 1);
  assert.equal(codeOf(await world.call(world.admin, 'POST', `${tenant}/shred/cancel`)), 'STORE_CONFLICT');
  // A broker that was slow puts a token there after the start.
  const late = `token:${one}:1`;
  const slow = new Redis(redis.url);
  atEnd(t, () => slow.disconnect());
  await slow.set(late, 'a token');
  await world.broker.continueShreds();
  assert.equal(await slow.exists(late), 0);
  assert.equal((await world.status()).key, 'present');
  await world.destroyKey();
  await world.until('shredded');

  assert.equal((await world.status()).tenant.state, 'shredded');
  const shred = await world.shred();
  assert.equal(shred.revocations?.revoked, 2);
  const { ciphertexts, opened, key_absent, control_refused, control_had_opened } = proofOf(shred);
  assert.deepEqual([ciphertexts, opened, key_absent, control_refused, control_had_opened], [2, 0, true, true, true]);
  const records = await world.store.audit.list({ tenant, limit: 100 });
  const proof = records.find(({ action }) => action === 'tenant.shred');
  assert.equal(proof?.result, 'ok');
  assert.deepEqual(
    [proof.facts.requestedBy, proof.facts.approvedBy, proof.facts.opened, proof.facts.ciphertextsDigest],
    [world.admin.subject, world.second.subject, 0, proofOf(shred).ciphertexts_digest],
  );

  // With root's rights: what was stored before, and every value that was cached.
  const { transit } = world.vault.layout.mounts;
  for (const channel of before) {
    const ciphertext = channel.grant?.refreshTokenEncrypted ?? '';
    const context = grantContext({ tenant, channel: channel.id, generation: 1 });
    await assert.rejects(
      world.vault.operator.compute(`${transit}/decrypt/tenant-${tenant}`, { ciphertext, context }, z.unknown()),
      /encryption key not found/,
    );
    assert.equal((await world.channel(channel.id)).grant, undefined);
  }
  const client = new Redis(redis.url);
  atEnd(t, () => client.disconnect());
  // A replica that was slow and has missed all of it: the others clean up after it for a while.
  await client.set(`token:${two}:1`, 'a token');
  await world.broker.continueShreds();
  const cached = await client.keys('*');
  assert.ok(
    cached.every((key) => ![one, two].some((id) => key.includes(id))),
    cached.join(' '),
  );
  assert.ok(cached.some((key) => key.includes(foreign)));

  world.google.advance(50 * 60_000);
  await world.broker.refreshDue();
  assert.equal((await workload.getAccessToken({ channelId: foreign })).youtubeChannelId, 'UCthree');
  assert.equal((await world.channel(foreign)).grant?.refreshFailures, 0);

  const again = await world.call(world.admin, 'POST', '../tenants', { name: tenant, admins: [] });
  assert.equal(codeOf(again), 'TENANT_SHREDDED');
  assert.equal(await world.vault.operator.find(`${transit}/keys/tenant-${tenant}`, z.unknown()), undefined);
  await assert.rejects(world.addChannel('late'), /TENANT_SHREDDED/);
});

test('who may not see a tenant can do nothing about its shredding, its name has to be typed, and a request can be cancelled or lapses', async (t) => {
  const world = await useShredWorld(t);
  const stranger = await createPerson(world.vault, {
    name: `eve-${world.vault.layout.mounts.transit}`,
    groups: [],
  });
  assert.equal(codeOf(await world.call(stranger, 'GET', `${tenant}/shred/plan`)), 'TENANT_NOT_FOUND');
  assert.equal(codeOf(await world.request(stranger)), 'TENANT_NOT_FOUND');
  await world.request();
  assert.equal(codeOf(await world.approve(stranger)), 'TENANT_NOT_FOUND');
  for (const [method, path, body] of [
    ['GET', '', undefined],
    ['POST', '/cancel', undefined],
    ['POST', '/start', { confirm: tenant }],
  ] as const) {
    const answer = await world.call(stranger, method, `${tenant}/shred${path}`, body);
    assert.equal(codeOf(answer), 'TENANT_NOT_FOUND', `${method} ${path}`);
  }
  for (const step of ['approve', 'start']) {
    const wrong = await world.call(world.second, 'POST', `${tenant}/shred/${step}`, { confirm: `${tenant}2` });
    assert.equal(codeOf(wrong), 'INVALID_REQUEST', step);
  }
  assert.equal(await world.state(), 'requested');
  const cancelled = await world.call(world.second, 'POST', `${tenant}/shred/cancel`);
  assert.equal(shredIn(cancelled.body).state, 'cancelled');
  assert.equal(codeOf(await world.start()), 'SHRED_NOT_FOUND');

  await world.request();
  await world.approve(world.second);
  world.google.advance(73 * 3_600_000);
  assert.equal(await world.state(), 'expired');
  assert.equal(codeOf(await world.start()), 'SHRED_NOT_FOUND');
  assert.equal(shredIn((await world.request(world.second)).body).state, 'requested');
});

test('a request to go on without Google is kept until the start, and nothing is sent there', async (t) => {
  const world = await useShredWorld(t);
  await connect(world, 'one');
  const asked = { confirm: tenant, reason, without_revocation: true };
  await world.call(world.admin, 'POST', `${tenant}/shred`, asked);
  await world.approve(world.second);
  await world.start();
  await world.until('awaiting_key_destruction');
  assert.equal((await world.shred()).revocations?.skipped, 1);
  assert.equal(world.google.counts.requests(revocations), 0);
});

test('Google down: the tenant is cut off all the same, tries end, and a person goes on without or tries again', async (t) => {
  const world = await useShredWorld(t, { settings: { BROKER_SHRED_APPROVALS: '0' } });
  const [one] = [await connect(world, 'one'), await connect(world, 'two')];
  const workload = await useWorkload(t, world, { reads: [one] });
  const fault = world.google.faults.add({
    fault: { kind: 'status', status: 503 },
    where: revocations,
    times: 'always',
  });
  assert.equal(shredIn((await world.request()).body).state, 'approved');
  await world.start();
  await assert.rejects(workload.getAccessToken({ channelId: one }), { code: 'CHANNEL_REVOKED' });
  const tally = async () => (await world.shred()).revocations;
  await until(async () => {
    world.google.advance(120_000);
    await world.broker.continueShreds();
    return (await tally())?.failed === 2;
  });
  assert.equal(world.google.counts.requests(revocations), 12);
  assert.equal(await world.state(), 'revoking');

  fault.clear();
  world.google.faults.add({ fault: { kind: 'status', status: 503 }, where: revocations, times: 1 });
  await world.start();
  await until(async () => (await tally())?.revoked === 1);
  await world.start({ without_revocation: true });
  await until(async () => {
    world.google.advance(120_000);
    return (await world.state()) === 'awaiting_key_destruction';
  });
  const { revoked = 0, skipped = 0 } = (await tally()) ?? {};
  assert.equal(revoked + skipped, 2);
  const starts = (await world.store.audit.list({ tenant, limit: 200 })).filter(
    ({ action }) => action === 'tenant.shred-start',
  );
  assert.deepEqual(
    starts.toReversed().map(({ facts }) => [facts.resumed, facts.withoutRevocation]),
    [
      [false, false],
      [true, false],
      [true, true],
    ],
    'who tries again is on record as who goes on without',
  );
  await world.destroyKey();
  await until(async () => {
    world.google.advance(2_000);
    return (await world.state()) === 'shredded';
  });
});

test('a broker that is killed amid the revocations is followed by another, and none is lost', async (t) => {
  const world = await useShredWorld(t, { settings: { BROKER_SHRED_APPROVALS: '0' } });
  for (const name of ['one', 'two', 'three']) await connect(world, name);
  // The first broker to work on it hangs at Google in the middle.
  const hang = world.google.faults.add({ fault: { kind: 'hang' }, where: revocations, times: 'always' });
  const environment = await brokerEnvironment(t, {
    vault: world.vault,
    google: world.google,
    databaseUrl: world.databaseUrl,
    redisUrl: undefined,
    settings: { BROKER_SHRED_APPROVALS: '0', BROKER_OPERATORS_GROUP: `${world.vault.layout.mounts.transit}-operators` },
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
  const ask = (path: string, body: object) =>
    fetch(`${environment.BROKER_PUBLIC_URL}/v1/tenants/${tenant}/shred${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  assert.equal((await ask('', { confirm: tenant, reason })).status, 201);
  assert.equal((await ask('/start', { confirm: tenant })).status, 200);
  await until(() => world.google.counts.requests(revocations) > 0);
  killed.signal('SIGKILL');
  await killed.ended;
  hang.clear();

  const next = await useNextBroker(t, world);
  world.google.advance(61_000);
  await until(async () => {
    await next.continueShreds();
    return (await world.store.shreds.newest(tenant))?.state === 'awaiting_key_destruction';
  });
  assert.deepEqual(world.google.liveRefreshTokens(), []);
  await world.destroyKey();
  await until(async () => {
    world.google.advance(2_000);
    await next.continueShreds();
    return (await world.store.shreds.newest(tenant))?.state === 'shredded';
  });
  const { proof } = (await world.store.shreds.newest(tenant)) ?? {};
  assert.equal(proof?.revocations.revoked, 3);
});

async function useNextBroker(t: TestContext, world: World) {
  return useBroker(t, {
    vault: world.vault,
    google: world.google,
    databaseUrl: world.databaseUrl,
    redisUrl: undefined,
    clock: { now: () => new Date(world.google.now()) },
  });
}

test('a key that is destroyed by hand is no shred; one that is requested then completes', async (t) => {
  const world = await useShredWorld(t, { settings: { BROKER_SHRED_APPROVALS: '0' } });
  const channel = await connect(world, 'one');
  await world.destroyKey();
  await world.broker.continueShreds();
  assert.equal((await world.status()).shred, null);
  assert.equal((await world.channel(channel)).state, 'active');
  await world.request();
  await world.start();
  await world.until('shredded');
  const shred = await world.shred();
  assert.equal(shred.revocations?.unreadable, 1);
  const { ciphertexts, opened, control_had_opened } = proofOf(shred);
  assert.deepEqual([ciphertexts, opened, control_had_opened], [1, 0, false]);
});

test('a soft-deleted key is not taken for a destroyed one, nor is an engine that is not there', async (t) => {
  const world = await useShredWorld(t, { settings: { BROKER_SHRED_APPROVALS: '0' } });
  await connect(world, 'one');
  await world.request();
  await world.start();
  await world.until('awaiting_key_destruction');
  const { transit } = world.vault.layout.mounts;
  const key = `${transit}/keys/tenant-${tenant}`;
  // OpenBao has it, HashiCorp Vault has not.
  const canSoftDelete = await world.vault.operator.delete(`${key}/soft-delete`).then(
    () => true,
    () => false,
  );
  if (canSoftDelete) {
    await world.broker.continueShreds();
    assert.equal((await world.status()).key, 'soft_deleted');
    assert.equal(await world.state(), 'awaiting_key_destruction');
  }
  await world.vault.operator.write('sys/remount', { from: transit, to: `${transit}-away` });
  await until(async () => {
    world.google.advance(2_000);
    return world.broker.continueShreds().then(
      () => false,
      (error) => error.code === 'VAULT_UNAVAILABLE',
    );
  });
  assert.equal((await world.store.shreds.newest(tenant))?.state, 'awaiting_key_destruction');
  await until(async () =>
    world.vault.operator.write('sys/remount', { from: `${transit}-away`, to: transit }).then(
      () => true,
      () => false,
    ),
  );
  await until(async () => (await world.vault.operator.find(key, z.unknown()).catch(() => undefined)) !== undefined);
  await world.destroyKey();
  await until(async () => {
    world.google.advance(2_000);
    return (await world.state()) === 'shredded';
  });
});

test('a grant that a live channel of another tenant hangs on is not revoked at Google, and the plan says so', async (t) => {
  const world = await useShredWorld(t, { settings: { BROKER_SHRED_APPROVALS: '0' } });
  const own = await connect(world, 'one');
  await world.api('POST', '/v1/tenants', { name: 'other', admins: [] });
  const { id: sibling, consentLink } = await world.addChannel('same-owner', { tenant: 'other' });
  await world.consent(consentLink, { account: 'one@example.com' });
  const { body: plan } = await world.call(world.second, 'GET', `${tenant}/shred/plan`);
  assert.deepEqual(plan.shared, [{ channel: own, siblings: 1, named: [] }]);
  const seen = await world.call(world.admin, 'GET', `${tenant}/shred/plan`);
  assert.deepEqual(seen.body.shared[0]?.named, [sibling]);
  await world.request();
  await world.start();
  await world.until('awaiting_key_destruction');
  assert.equal(world.google.counts.requests(revocations), 0);
  assert.equal((await world.shred()).revocations?.kept_for_sibling, 1);
  world.google.advance(50 * 60_000);
  await world.broker.refreshDue();
  const { state, grant } = await world.channel(sibling);
  assert.deepEqual([state, grant?.refreshFailures], ['active', 0]);
});

test('the commands: dry run, request, approval, start, and the key destroyed with the operator’s own Vault login', async (t) => {
  const world = await useShredWorld(t);
  const channel = await connect(world, 'one');
  const { layout, address } = world.vault;
  const destroyer = await world.vault.tokenWithPolicy(layout.policies.operator);
  const run = async (who: Person, ...argv: readonly string[]) => {
    const login = (await who.logIn()).reveal();
    const base = {
      HOME: '/nonexistent',
      BROKER_URL: world.broker.publicUrl,
      BROKER_IDENTITY_ROLE: layout.identity.role,
      VAULT_ADDR: address,
      BROKER_VAULT_TRANSIT_MOUNT: layout.mounts.transit,
    };
    const operator = createOperator(loadOperatorConfig({ ...base, VAULT_TOKEN: destroyer.reveal() }), '/nonexistent');
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const unused = () => Promise.reject(new Error('not used'));
    const cli = createCli({
      environment: { ...base, VAULT_TOKEN: login },
      streams: { stdin: Readable.from([]), stdout, stderr },
      version: '1',
      processes: {
        serve: unused,
        migrate: unused,
        retention: { plan: unused, run: unused },
        prune: { plan: unused, run: unused },
      },
      vault: operator,
    });
    const code = await cli(['tenant', ...argv]);
    stdout.end();
    stderr.end();
    return { code, out: await text(stdout), err: await text(stderr) };
  };

  const dry = await run(world.admin, 'shred', tenant, '--dry-run');
  assert.equal(dry.code, 0);
  assert.ok(dry.out.includes(channel) && dry.out.includes('Of one'), dry.out);
  assert.equal((await world.status()).shred, null);
  assert.equal((await run(world.admin, 'shred', tenant, '--reason', reason)).code, 2);
  assert.equal((await run(world.admin, 'shred', tenant, '--reason', reason, '--confirm', 'acne')).code, 1);
  assert.equal((await world.status()).shred, null);
  const requested = await run(world.admin, 'shred', tenant, '--reason', reason, '--confirm', tenant);
  assert.match(requested.err, /A second person approves it: broker tenant shred-approve acme/);
  const own = await run(world.admin, 'shred-approve', tenant, '--confirm', tenant);
  assert.deepEqual([own.code, /SHRED_SELF_APPROVAL/.test(own.err)], [1, true]);
  assert.equal((await run(world.second, 'shred-approve', tenant, '--confirm', tenant)).code, 0);
  const left = await run(world.admin, 'shred', tenant, '--confirm', tenant, '--leave-key');
  assert.match(left.err, new RegExp(`vault delete ${layout.mounts.transit}/keys/tenant-acme`));
  const done = await run(world.admin, 'shred', tenant, '--confirm', tenant);
  assert.equal(done.code, 0, done.err);
  assert.match(done.out, /1 ciphertexts tried, 0 opened; the key is absent/);
  const status = JSON.parse((await run(world.second, 'shred-status', tenant, '-o', 'json')).out);
  assert.equal(status.shred.state, 'shredded');
});

test('the broker itself cannot destroy a key', async (t) => {
  const world = await useShredWorld(t);
  const broker = await world.vault.asBroker();
  const key = `${world.vault.layout.mounts.transit}/keys/tenant-${tenant}`;
  await assert.rejects(broker.write(`${key}/config`, { deletion_allowed: true }), { code: 'VAULT_FORBIDDEN' });
  await assert.rejects(broker.delete(key), { code: 'VAULT_FORBIDDEN' });
});
