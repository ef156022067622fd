/**
 * Promise 8 for the programs as they run: what `broker serve` and `sidecar run` print, what other users of the machine
 * see of them, and the files they leave hold no secret. `canaries.test.ts` searches everything else.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { type ServerProcess, startServerProcess } from '../../broker/store/embedded/server-process.ts';
import { freePort } from '../../stack/free-port.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { createSigningKey } from '../fake-google/jwt.ts';
import { brokerEnvironment } from '../support/broker.ts';
import { createOwnerBrowser } from '../support/owner-browser.ts';
import { until } from '../support/poll.ts';
import { useOwnPostgres } from '../support/postgres.ts';
import { useRedis } from '../support/redis.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { type SecretKind, searchFor, watchSecrets } from '../support/secret-search.ts';
import { isReady, readToken, sidecarEnvironment, sidecarMain } from '../support/sidecar.ts';
import { migratedDatabase } from '../support/store.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWorkload } from '../support/workload.ts';
import { owner, useWorld, type World } from '../support/world.ts';

const brokerMain = join(import.meta.dirname, '../../broker/main.ts');
const startsWithinMs = 20_000;
const refreshes = { endpoint: 'token', grantType: 'refresh_token' } as const;

interface Program extends ServerProcess {
  readonly output: readonly string[];
  /** Everything that others on the machine, or a crash report, may show of it. */
  readonly shown: () => string;
  /** Its working, home and temporary folder. */
  readonly folder: string;
}

async function start(t: TestContext, main: string, act: string, env: Record<string, string>): Promise<Program> {
  const folder = await useFolder(t);
  const output: string[] = [];
  const process_ = startServerProcess({
    name: `${act} of ${main}`,
    command: process.execPath,
    args: [main, act],
    env: { ...env, HOME: folder, TMPDIR: folder },
    cwd: folder,
    log: (line) => output.push(line),
  });
  atEnd(t, () => process_.stop());
  const shown = () => ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${process_.pid}/${file}`)).join('\n');
  return { ...process_, output, shown, folder };
}

/** A broker and a sidecar as processes, beside the world's own broker, which only sets up. */
async function startPrograms(t: TestContext, world: World) {
  // What the programs say to Vault and hear from it passes through this process.
  const front = await useVaultFront(t, world.vault.address);
  const [grpcPort, operationsPort] = [await freePort(), await freePort()];
  const settings = {
    VAULT_ADDR: front.address,
    BROKER_GRPC_LISTEN: `127.0.0.1:${grpcPort}`,
    BROKER_OPERATIONS_LISTEN: `127.0.0.1:${operationsPort}`,
    BROKER_LOG_LEVEL: 'trace',
  };
  const environment = await brokerEnvironment(t, { ...world, settings });
  const broker = await start(t, brokerMain, 'serve', environment);
  await broker.line(/"msg":"broker serves"/, startsWithinMs);

  const sidecarSettings = await sidecarEnvironment(t, { vault: world.vault, broker: `127.0.0.1:${grpcPort}` });
  const sidecar = await start(t, sidecarMain, 'run', { ...sidecarSettings, VAULT_ADDR: front.address });
  const [line] = await sidecar.line(/\{.*"the sidecar is listening".*\}/, startsWithinMs);
  const { url, operationsUrl } = JSON.parse(line) as { url: string; operationsUrl: string };
  await isReady({ operationsUrl });
  const { BROKER_PUBLIC_URL: publicUrl } = environment;
  return { broker, sidecar, publicUrl, grpcPort, operationsUrl: `http://127.0.0.1:${operationsPort}`, sidecarUrl: url };
}

test('no secret is in what the programs print, in their arguments, environments or files', async (t) => {
  const watch = watchSecrets(t);
  const key = createSigningKey('practice-google-1');
  const signingKey = {
    ...key,
    async sign(...claims: Parameters<typeof key.sign>) {
      const token = await key.sign(...claims);
      watch.learn('ID token', token);
      return token;
    },
  };
  const [postgres, redis, vault] = await Promise.all([useOwnPostgres(t), useRedis(t), useSetUpVault(t)]);
  const world = await useWorld(t, {
    vault,
    databaseUrl: await migratedDatabase(postgres.url('postgres')),
    redisUrl: redis.url,
    google: { signingKey },
    client: { rotateRefreshTokens: true },
    dpop: true,
  });
  const { broker, sidecar, publicUrl, grpcPort, operationsUrl, sidecarUrl } = await startPrograms(t, world);
  const learnTokens = () => {
    for (const token of world.google.liveRefreshTokens()) watch.learn('refresh token', token);
  };
  world.google.updateClient('client-1.apps.example', { redirectUris: [`${publicUrl}/oauth2/callback`] });

  const { id, consentLink } = await world.addChannel();
  const link = `${publicUrl}${new URL(consentLink).pathname}`;
  for (const fault of [{ kind: 'cut-body' }, { kind: 'html-403' }, { kind: 'reset' }] as const) {
    world.google.faults.add({ fault, where: { endpoint: 'token' } });
    await consent(world, link);
    learnTokens();
  }
  await consent(world, link);
  assert.equal((await world.channel(id)).state, 'active');
  learnTokens();

  const spiffeId = workloadSpiffeId(world.vault.layout.trustDomain, 'uploads');
  await world.api('POST', `/v1/channels/${id}/workloads`, { spiffe_id: spiffeId, reason: 'uploads' });
  assert.equal((await readToken({ url: sidecarUrl }, id)).status, 200);
  const workload = await useWorkload(t, { ...world, broker: { ...world.broker, grpcPort } }, { reads: [id] });
  /** Answers how reading ends where the broker has no token at hand and must ask Google. */
  const readAnew = async (): Promise<string> => {
    await query(world.databaseUrl, 'update channels set access_token_cache_key = null');
    const answer = await workload.getAccessToken({ channelId: id }).catch((error: { code: string }) => error);
    learnTokens();
    if ('code' in answer) return answer.code;
    watch.learn('access token', answer.accessToken);
    return 'ok';
  };
  assert.equal(await readAnew(), 'ok');
  await postgres.halt();
  // One that this broker has never read: the other is remembered, or not, by when its last change was heard.
  const unseen = `ch_${'0'.repeat(26)}`;
  await assert.rejects(workload.getAccessToken({ channelId: unseen }), { code: 'STORE_UNAVAILABLE' });
  await consent(world, link).catch(() => undefined);
  await postgres.start();
  await redis.stop();
  world.google.faults.add({ fault: { kind: 'cut-body' }, where: refreshes });
  // Until PostgreSQL is found again, a token that is remembered may be served.
  await until(
    'Google is asked, and its answer is cut off',
    async () => (await readAnew()) === 'AUTHORIZATION_SERVER_UNAVAILABLE',
  );
  assert.notEqual((await readToken({ url: sidecarUrl }, id, '?min_ttl=3300&scope=none')).status, 200);
  assert.ok(world.google.counts.requests(refreshes) >= 2, 'too little was tried');
  const identityToken = await world.admin.identityToken();
  for (const bearer of [identityToken, `${identityToken.slice(0, -8)}AAAAAAAA`]) {
    await fetch(`${publicUrl}/v1/whoami`, { headers: { authorization: `Bearer ${bearer}` } });
  }
  for (const path of ['/readyz', '/metrics']) await fetch(`${operationsUrl}${path}`);
  for (const { parameters } of world.google.counts.log({ endpoint: 'token' })) {
    watch.learn('code', parameters.code);
    watch.learn('code verifier', parameters.code_verifier);
    watch.learn('client secret', parameters.client_secret);
    watch.learn('refresh token', parameters.refresh_token);
  }

  const programs = { broker, sidecar };
  const shown = Object.entries(programs).map(([name, program]) => [`the ${name}’s process`, program.shown()] as const);
  await Promise.all([broker.stop(), sidecar.stop()]);
  const written = Object.entries(programs).flatMap(([name, { output, folder }]) => [
    [`what the ${name} printed`, output.join('\n')] as const,
    [`files of the ${name}`, textOf(folder)] as const,
  ]);
  assertAllKnown(watch.secrets);
  assert.ok(broker.output.length > 5 && sidecar.output.length > 3, 'the programs printed nothing');
  const leaks = [...shown, ...written].flatMap(([place, text]) => searchFor(watch.secrets, place, text));
  assert.deepEqual(leaks, []);
  assert.doesNotMatch(written.map(([, text]) => text).join('\n'), /PRIVATE KEY/);
});

async function consent(world: World, link: string): Promise<void> {
  const browser = createOwnerBrowser();
  await browser.open(await world.google.consent(await browser.start(link), { account: owner.account }));
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}

/** A search for nothing finds nothing: each kind must have been there. */
function assertAllKnown(secrets: ReadonlyMap<string, SecretKind>): void {
  const wanted: readonly SecretKind[] = [
    'client secret',
    'code',
    'code verifier',
    'state',
    'refresh token',
    'access token',
    'ID token',
    'consent link',
    'identity token',
    'Vault token',
    'secret id',
    'data key',
  ];
  const known = new Set(secrets.values());
  assert.deepEqual(
    wanted.filter((kind) => !known.has(kind)),
    [],
    'the search knows none of these',
  );
}

/** Names and contents of all files below a folder. */
function textOf(folder: string): string {
  return globSync('**/*', { cwd: folder })
    .map((path) => join(folder, path))
    .map((path) => `${path}\n${statSync(path).isFile() ? readFileSync(path, 'latin1') : ''}`)
    .join('\n');
}
