/**
 * Promise 8: no secret in clear is ever in a log, a table, a Redis value, a metric or an answer. The whole story runs,
 * with everything that can go wrong in it; every secret that existed is learnt from the wires; then everything that the
 * run has left behind is searched for each of them.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { until } from '../support/poll.ts';
import { superuserUrl } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { useFolder } from '../support/scope.ts';
import {
  type Exchange,
  type Leak,
  type SecretKind,
  type SecretWatch,
  searchFor,
  watchSecrets,
} from '../support/secret-search.ts';
import { isReady, readToken, useSidecar } from '../support/sidecar.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts';
import { useWorld, type World } from '../support/world.ts';

const hour = 3_600_000;
const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;
const run = promisify(execFile);

test('no secret is left anywhere by the whole story', async (t) => {
  const watch = watchSecrets(t);
  const server = await useOwnVault(t);
  const vault = await useSetUpVault(t, server);
  const webhook = await useWebhookReceiver(t);
  const redis = await useRedis(t, { password: 'canary-redis-password' });
  const world = await useWorld(t, {
    vault,
    redisUrl: redis.url,
    dpop: true,
    client: { rotateRefreshTokens: true },
    settings: {
      BROKER_LOG_LEVEL: 'trace',
      BROKER_NOTIFICATION_URL: webhook.url,
      BROKER_NOTIFICATION_CACERT: webhook.caFile,
      BROKER_NOTIFICATION_ALLOWED_NETWORKS: '127.0.0.0/8',
    },
  });
  watch.learn('password', 'canary-redis-password');
  watch.learn('password', decodeURIComponent(new URL(world.databaseUrl).password));

  const channels = [await goodConsent(world), await badConsents(world)];
  const { id } = channels[0] ?? assert.fail();
  for (const channel of channels) watch.learn('browser secret', channel.browserSecret);

  const sidecar = await useSidecar(t, {
    vault,
    broker: `127.0.0.1:${world.broker.grpcPort}`,
    settings: { SIDECAR_GCE_CHANNELS: `${id}=0` },
    dependencies: { now: world.google.now },
  });
  const spiffeId = `spiffe://${vault.layout.trustDomain}/workload/uploads`;
  await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: spiffeId, reason: 'uploads' });
  await isReady(sidecar);
  await readTokens(sidecar, id);

  await refreshBadly(world);
  await server.seal();
  world.google.advance(hour);
  await world.broker.refreshDue();
  await readToken(sidecar, id);
  await server.unseal();
  await tellBadly(world, webhook, watch);
  const cliOutput = await badRequests(world, t);

  const kinds = new Set(watch.secrets.values());
  const wanted: SecretKind[] = [
    'client secret',
    'code',
    'code verifier',
    'state',
    'refresh token',
    'access token',
    'ID token',
    'consent link',
    'browser secret',
    'identity token',
    'Vault token',
    'secret id',
    'data key',
    'password',
    'signing secret',
    'link of a notification',
  ];
  assert.deepEqual(
    wanted.filter((kind) => !kinds.has(kind)),
    [],
    'the search knows none of these',
  );
  assert.ok(watch.secrets.size > 40, `only ${watch.secrets.size} secrets were seen`);

  const ours = [
    world.broker.publicUrl,
    world.broker.operationsUrl,
    sidecar.url,
    sidecar.operationsUrl,
    ...sidecar.gceUrls.values(),
  ];
  const answers = watch.exchanges.filter(({ url }) => ours.some((base) => url.startsWith(base)));
  assert.ok(answers.length > 20);
  const leaks: Leak[] = [
    ...searchFor(watch.secrets, 'broker log', world.broker.log.join('')),
    ...searchFor(watch.secrets, 'sidecar log', JSON.stringify(sidecar.log)),
    ...searchFor(watch.secrets, 'database', await dumpDatabase(superuserUrl(world.databaseUrl))),
    ...searchFor(watch.secrets, 'Redis', await dumpRedis(redis.url)),
    ...searchFor(watch.secrets, 'output of a command', cliOutput),
    ...answers.flatMap((exchange) =>
      searchFor(watch.secrets, `answer to ${exchange.method} ${pathOf(exchange)}`, exchange.answer).filter(
        ({ kind }) => !mayShow(exchange, kind),
      ),
    ),
  ];
  assert.deepEqual(leaks, []);
});

/** Notifications that a receiver refuses, sends back what it was sent, and takes; their links go to it and nowhere else. */
async function tellBadly(world: World, webhook: WebhookReceiver, watch: SecretWatch): Promise<void> {
  for (const byte of [3, 4]) {
    const secret = `whsec_${Buffer.alloc(32, byte).toString('base64')}`;
    watch.learn('signing secret', secret);
    watch.learn('signing secret', secret.replace('whsec_', ''));
    await world.api('POST', '/v1/notification-secrets', { secret });
  }
  const channel = await world.connectedChannel('told');
  const fault = world.google.faults.add({
    fault: { kind: 'error', error: 'invalid_grant' },
    where: refreshes,
    times: 'always',
  });
  webhook.answerWith((response, { body, headers }) => {
    response.writeHead(302, {
      location: `https://localhost/?${encodeURIComponent(body)}`,
      'x-signed': headers['webhook-signature'],
    });
    response.end(body);
  });
  world.google.advance(hour);
  await world.broker.refreshDue();
  await until('the message arrives', () => webhook.received.some(({ event }) => event.subject === channel));
  fault.clear();
  const told = async () => {
    const { notifications } = await world.api<{ notifications: { id: string; last_problem: string; state: string }[] }>(
      'GET',
      `/v1/notifications?channel=${channel}`,
    );
    return notifications[0];
  };
  await until('the refusal is known', async () => (await told())?.last_problem === 'redirect 302');
  webhook.answerWith((response, { body }) => response.writeHead(200).end(body));
  await world.api('POST', `/v1/notifications/${(await told())?.id}/resend`);
  await until('it was taken', async () => (await told())?.state === 'delivered');
  await world.api('GET', `/v1/notifications/${(await told())?.id}`);
  assert.ok(webhook.received.length > 1);
  for (const { event } of webhook.received) {
    watch.learn('link of a notification', event.data.consent_link?.url.split('/').at(-1));
  }
}

/** The owner's way as it should be. */
async function goodConsent(world: World) {
  const { id, consentLink } = await world.addChannel('good');
  const browser = createOwnerBrowser();
  await world.consent(consentLink, {}, browser);
  const { url } = await world.api<{ url: string }>('POST', `/v1/channels/${id}/consent-links`);
  const again = createOwnerBrowser();
  await again.start(url);
  return { id, browserSecret: secretIn(again.cookies) };
}

/** A consent that is denied, answered by another, forged, cut off and tried with a code of somebody else's. */
async function badConsents(world: World) {
  const { id, consentLink } = await world.addChannel('bad');
  await world.consent(consentLink, { decision: 'deny' });
  await world.consent(consentLink, { untick: ['https://www.googleapis.com/auth/youtube.upload'] });
  for (const fault of [{ kind: 'cut-body' }, { kind: 'html-403' }, { kind: 'status', status: 500 }] as const) {
    world.google.faults.add({ fault, where: { endpoint: 'token' } });
    await world.consent(consentLink);
  }
  const browser = createOwnerBrowser();
  const callback = await world.google.consent(await browser.start(consentLink), { account: 'owner@example.com' });
  const browserSecret = secretIn(browser.cookies);
  await createOwnerBrowser().open(callback);
  const forged = new URL(callback);
  forged.searchParams.set('code', 'forged-code-canary');
  await browser.open(forged.href);
  await browser.open(callback);
  return { id, browserSecret };
}

function secretIn(cookies: ReadonlyMap<string, string>): string | undefined {
  const cookie = [...cookies].find(([name]) => /consent-(?!result)/.test(name))?.[1];
  return decodeURIComponent(cookie ?? '').split('.')[0];
}

async function readTokens(sidecar: Awaited<ReturnType<typeof useSidecar>>, id: string): Promise<void> {
  assert.equal((await readToken(sidecar, id)).status, 200);
  await readToken(sidecar, `ch_${'0'.repeat(26)}`);
  await fetch(`${sidecar.url}/v1/channels/${id}/token`);
  const [gce] = sidecar.gceUrls.values();
  await fetch(`${gce}/computeMetadata/v1/instance/service-accounts/default/token`, {
    headers: { 'Metadata-Flavor': 'Google' },
  });
  await fetch(`${sidecar.operationsUrl}/livez`);
}

/** Rotates, fails in every form, and ends with a dead grant. */
async function refreshBadly(world: World): Promise<void> {
  const faults = [
    { kind: 'cut-body' },
    { kind: 'html-403' },
    { kind: 'reset' },
    { kind: 'error', error: 'invalid_client' },
    { kind: 'error', error: 'invalid_dpop_proof' },
  ] as const;
  world.google.advance(hour);
  await world.broker.refreshDue();
  for (const fault of faults) {
    const rule = world.google.faults.add({ fault, where: refreshes, times: 'always' });
    world.google.advance(hour);
    await world.broker.refreshDue();
    rule.clear();
  }
  world.google.advance(hour);
  await world.broker.refreshDue();
}

/** Every endpoint of the broker, rightly and wrongly asked. */
async function badRequests(world: World, t: Parameters<typeof useFolder>[0]): Promise<string> {
  const { publicUrl, operationsUrl } = world.broker;
  const token = await world.admin.identityToken();
  const forged = `${token.slice(0, -8)}AAAAAAAA`;
  for (const path of [
    '/v1/whoami',
    '/v1/tenants',
    '/v1/oauth-clients',
    '/v1/channels',
    '/v1/openapi.json',
    '/v1/nothing',
  ]) {
    for (const bearer of [token, forged]) {
      await fetch(`${publicUrl}${path}`, { headers: { authorization: `Bearer ${bearer}` } });
    }
  }
  for (const body of [
    '{',
    '{"name":"acme"}',
    `{"name":"uploads","client_id":"x","client_secret":"client-secret-1","dpop":"?"}`,
  ]) {
    for (const path of ['/v1/tenants', '/v1/oauth-clients', '/v1/channels']) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      await fetch(`${publicUrl}${path}`, { method: 'POST', headers, body });
    }
  }
  for (const path of ['/livez', '/readyz', '/metrics']) await fetch(`${operationsUrl}${path}`);

  const file = join(await useFolder(t), 'identity.jwt');
  await writeFile(file, token);
  const env = { PATH: process.env.PATH, BROKER_URL: publicUrl, BROKER_TOKEN_FILE: file };
  const main = join(import.meta.dirname, '../../broker/main.ts');
  const outputs = await Promise.all(
    [['whoami'], ['channel', 'list', '-o', 'json'], ['channel', 'show', 'ch_none'], ['oauth-client', 'list']].map(
      (args) =>
        run(process.execPath, [main, ...args], { env }).catch((error: { stdout: string; stderr: string }) => error),
    ),
  );
  assert.equal((await readFile(file, 'utf8')).trim(), token);
  return outputs.map(({ stdout, stderr }) => stdout + stderr).join('\n');
}

function pathOf({ url }: Exchange): string {
  return new URL(url).pathname.replace(/[\w-]{43}/g, 'LINK');
}

/** The few answers that are there to hand a secret to the one who may have it. */
function mayShow(exchange: Exchange, kind: SecretKind): boolean {
  const path = pathOf(exchange);
  switch (kind) {
    case 'access token':
      return exchange.answer.startsWith('200') && path.endsWith('/token');
    case 'consent link':
      // To the admin who made it; to the browser that came with it, so that its owner can start again.
      return (
        /^\/v1\/channels(\/[^/]+\/consent-links)?$/.test(path) ||
        path.startsWith('/consent/') ||
        path === '/oauth2/callback'
      );
    case 'state':
    case 'browser secret':
      return exchange.method === 'POST' && path === '/consent/LINK';
    default:
      return false;
  }
}

async function dumpDatabase(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables where schemaname in ('public', 'graphile_worker')`,
    );
    assert.ok(tables.length >= 6);
    const dumps = [];
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`);
      dumps.push(...rows.map(({ row }) => `${name} ${row}`));
    }
    assert.ok(dumps.some((line) => line.includes('vault:v1:')));
    return dumps.join('\n');
  } finally {
    await client.end();
  }
}

async function dumpRedis(url: string): Promise<Buffer> {
  const client = new Redis(url);
  try {
    const keys = await client.keys('*');
    assert.ok(keys.length > 0, 'nothing is in Redis');
    const values = await Promise.all(
      keys.map(async (key) =>
        (await client.type(key)) === 'hash'
          ? Buffer.from(JSON.stringify(await client.hgetall(key)))
          : ((await client.getBuffer(key)) ?? Buffer.alloc(0)),
      ),
    );
    return Buffer.concat([Buffer.from(keys.join('\n')), ...values]);
  } finally {
    client.disconnect();
  }
}
