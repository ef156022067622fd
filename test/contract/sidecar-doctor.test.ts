/** `sidecar doctor` finds each trap, on the real Vault and the broker's own server, and prints the cure. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { examineBroker } from '../../sidecar/doctor/broker.ts';
import { examine } from '../../sidecar/doctor/examine.ts';
import type { Finding } from '../../sidecar/doctor/finding.ts';
import { examineCorePattern } from '../../sidecar/doctor/machine.ts';
import { freePort } from '../../stack/free-port.ts';
import { createAuthority, goodSvid } from '../support/certificates.ts';
import { until } from '../support/poll.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { isReady, sidecarEnvironment, useSidecar } from '../support/sidecar.ts';
import { runSidecarHere, runSidecarOnTerminal } from '../support/sidecar-cli.ts';
import { type TokenServerOptions, useTokenServer } from '../support/token-server.ts';
import { type SetUpVault, useSetUpVault } from '../support/vault-set-up.ts';

type Environment = Record<string, string>;

/** An environment in which all is well, on fixed ports. */
async function healthy(t: TestContext, options: TokenServerOptions & { vault?: SetUpVault } = {}) {
  const vault = options.vault ?? (await useSetUpVault(t));
  const broker = await useTokenServer(t, vault, options);
  const environment = await sidecarEnvironment(t, { vault, broker: broker.address });
  const settings: Environment = {
    ...environment,
    HOME: await useFolder(t),
    SIDECAR_GCE_CHANNELS: `ch_a=${await freePort()}`,
  };
  return { vault, broker, settings };
}

async function findings(
  environment: Environment,
  rest: { logIn?: boolean; ahead?: number; mdsFolder?: string; execArgv?: string[] } = {},
) {
  const { logIn = true, ahead = 0, mdsFolder = '/nonexistent', execArgv = [] } = rest;
  const found: Finding[] = [];
  for await (const finding of examine({ environment, execArgv, mdsFolder, logIn, now: () => Date.now() + ahead }))
    found.push(finding);
  return found;
}

/** The one finding with this code; it has a cure, unless all is well with it. */
function only(found: readonly Finding[], code: string): Finding {
  const those = found.filter((finding) => finding.code === code);
  const [finding] = those;
  assert.ok(
    finding && those.length === 1,
    `${code} is not among ${found.map((one) => `${one.code} (${one.what})`).join(', ')}`,
  );
  if (finding.level === 'failure' || finding.level === 'warning') assert.ok(finding.cure, `${code} has no cure`);
  return finding;
}

const levels = (found: readonly Finding[]) =>
  new Set(found.filter(({ code }) => code !== 'CORE_PATTERN_PIPED').map(({ level }) => level));

test('has nothing to mend where all is well, beside a running sidecar and without one', async (t) => {
  const { vault, broker, settings } = await healthy(t);
  const without = await findings(settings);
  assert.deepEqual(levels(without), new Set(['ok']), JSON.stringify(without));
  for (const code of ['PORTS', 'WORKER_ENVIRONMENT', 'FILES', 'VAULT', 'CERTIFICATE', 'BROKER', 'CHANNEL'])
    only(without, code);
  assert.equal(broker.calls.length, 0, 'a token was fetched');

  const sidecar = await useSidecar(t, { vault, broker: broker.address, workload: 'other' });
  await isReady(sidecar);
  const beside = await findings({ ...settings, SIDECAR_OPERATIONS_LISTEN: new URL(sidecar.operationsUrl).host });
  assert.deepEqual(levels(beside), new Set(['ok']));
  only(beside, 'SIDECAR');
});

test('tells of a sidecar that runs and cannot serve, with what is in its way', async (t) => {
  const { vault, broker, settings } = await healthy(t);
  const sidecar = await useSidecar(t, {
    vault,
    broker: broker.address,
    workload: 'other',
    settings: { VAULT_ADDR: `http://127.0.0.1:${await freePort()}` },
  });
  const found = await findings({ ...settings, SIDECAR_OPERATIONS_LISTEN: new URL(sidecar.operationsUrl).host });
  assert.match(only(found, 'SIDECAR_NOT_READY').what, /STARTING: /);
});

const ofEnvironment: readonly [code: string, environment: Environment, cure: RegExp][] = [
  [
    'PROXY_WITHOUT_NO_PROXY',
    { HTTPS_PROXY: 'http://proxy.example:3128', NO_PROXY: 'intranet' },
    /^export NO_PROXY=intranet,127\.0\.0\.1,localhost$/,
  ],
  [
    'PROXY_WITHOUT_NO_PROXY',
    { http_proxy: 'http://proxy.example:3128', no_proxy: 'a', NO_PROXY: '127.0.0.1' },
    / no_proxy="\$NO_PROXY"$/,
  ],
  [
    'GOOGLE_APPLICATION_CREDENTIALS',
    { GOOGLE_APPLICATION_CREDENTIALS: '/home/me/key.json' },
    /^unset GOOGLE_APPLICATION_CREDENTIALS$/,
  ],
  ['GCE_CHECK_OFF', { NO_GCE_CHECK: 'True' }, /^unset NO_GCE_CHECK$/],
  ['METADATA_DETECTION', { METADATA_SERVER_DETECTION: 'none' }, /assume-present/],
  ['METADATA_HOSTS_DIFFER', { GCE_METADATA_HOST: '127.0.0.1:7072', GCE_METADATA_IP: '169.254.169.254' }, /sidecar env/],
  ['METADATA_HOSTS_DIFFER', { GCE_METADATA_HOST: '127.0.0.1:7072' }, /sidecar env/],
];

for (const [code, environment, cure] of ofEnvironment) {
  test(`finds ${code} in ${Object.keys(environment).join(' and ')}`, async () => {
    const alone = only(await findings(environment), code);
    assert.match(alone.cure ?? '', cure);
    const ofWorker = only(await findings({ TOKEN_SIDECAR_URL: 'http://127.0.0.1:7070', ...environment }), code);
    assert.equal(ofWorker.level, 'failure');
    assert.equal(alone.level, environment.GCE_METADATA_HOST ? 'failure' : 'warning');
  });
}

test('finds nothing in the environment that `sidecar env` prints, whatever was set before', async (t) => {
  const home = await useFolder(t);
  await login(home);
  const before = {
    HOME: home,
    HTTP_PROXY: 'http://proxy.example',
    no_proxy: 'intranet',
    NO_GCE_CHECK: 'true',
    GOOGLE_APPLICATION_CREDENTIALS: '/key.json',
  };
  const { stdout } = await runSidecarHere({ ...before, SIDECAR_GCE_CHANNELS: 'ch_a=7072' }, 'env', '--format', 'json');
  const change = JSON.parse(stdout) as Record<string, string | null>;
  const after = Object.fromEntries(
    Object.entries({ ...before, ...change }).filter((entry) => entry[1] !== null),
  ) as Environment;
  only(await findings(after, { mdsFolder: home }), 'WORKER_ENVIRONMENT');
});

test('finds a login of gcloud that would win, and none where CLOUDSDK_CONFIG leads elsewhere', async (t) => {
  const home = await useFolder(t);
  await login(home);
  assert.match(only(await findings({ HOME: home }), 'GCLOUD_LOGIN').cure ?? '', /CLOUDSDK_CONFIG=\/nonexistent/);
  only(await findings({ HOME: home, CLOUDSDK_CONFIG: '/nonexistent' }), 'WORKER_ENVIRONMENT');
  assert.match(
    only(await findings({ CLOUDSDK_CONFIG: join(home, '.config/gcloud') }), 'GCLOUD_LOGIN').what,
    new RegExp(home),
  );
});

async function login(home: string): Promise<void> {
  await mkdir(join(home, '.config/gcloud'), { recursive: true });
  await writeFile(join(home, '.config/gcloud/application_default_credentials.json'), '{}');
}

test('finds the metadata server of a machine of Google’s', async (t) => {
  const mdsFolder = await useFolder(t);
  only(await findings({}, { mdsFolder }), 'GOOGLE_MDS_MTLS');
  only(await findings({ GCE_METADATA_MTLS_MODE: 'none' }, { mdsFolder }), 'WORKER_ENVIRONMENT');
});

test('finds a metadata host at which nobody answers, and one at which the sidecar does', async (t) => {
  const { vault, broker } = await healthy(t);
  const host = `127.0.0.1:${await freePort()}`;
  only(await findings({ GCE_METADATA_HOST: host, GCE_METADATA_IP: host }), 'METADATA_HOST_SILENT');
  const { gceUrls } = await useSidecar(t, {
    vault,
    broker: broker.address,
    workload: 'other',
    settings: { SIDECAR_GCE_CHANNELS: 'ch_a=0' },
  });
  const answering = new URL(gceUrls.get('ch_a') ?? '').host;
  only(await findings({ GCE_METADATA_HOST: answering, GCE_METADATA_IP: answering }), 'METADATA_HOST');
});

test('finds settings that are missing, files that cannot be read or can by everybody, and ports that are taken', async (t) => {
  const missing = await findings({ SIDECAR_TYPO: '1' });
  assert.match(only(missing, 'SETTINGS_WRONG').what, /SIDECAR_SPIFFE_ID is not set; .*SIDECAR_TYPO is not a setting/);

  const { settings } = await healthy(t);
  const secretId = settings.SIDECAR_VAULT_SECRET_ID_FILE ?? '';
  await chmod(secretId, 0o644);
  assert.equal(only(await findings(settings, { logIn: false }), 'FILE_OPEN_TO_OTHERS').cure, `chmod o= ${secretId}`);
  const elsewhere = { ...settings, SIDECAR_VAULT_SECRET_ID_FILE: '/nonexistent/secret-id' };
  assert.match(
    only(await findings(elsewhere, { logIn: false }), 'FILE_UNREADABLE').what,
    /SIDECAR_VAULT_SECRET_ID_FILE is \/nonexistent\/secret-id: ENOENT/,
  );

  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  atEnd(t, () => taken.close());
  const { port } = taken.address() as { port: number };
  const found = await findings({ ...settings, SIDECAR_LISTEN: `127.0.0.1:${port}` }, { logIn: false });
  assert.match(only(found, 'PORT_TAKEN').what, new RegExp(`127\\.0\\.0\\.1:${port} \\(SIDECAR_LISTEN\\): EADDRINUSE`));
});

test('finds core dumps that go to a program', () => {
  const [found] = examineCorePattern('|/usr/share/apport/apport -p%p\n');
  assert.deepEqual([found?.code, found?.level], ['CORE_PATTERN_PIPED', 'warning']);
  assert.match(found?.what ?? '', /It is \/usr\/share\/apport\/apport\.$/);
  assert.deepEqual(examineCorePattern('core\n'), []);
});

test('finds a sidecar that does not hear of changes', async (t) => {
  const { vault, settings } = await healthy(t);
  const old = await useTokenServer(t, vault, { withoutSubscribe: true });
  const sidecar = await useSidecar(t, {
    vault,
    broker: old.address,
    workload: 'other',
    settings: { SIDECAR_GCE_CHANNELS: 'ch_a=0', SIDECAR_UNHEARD_AFTER: '1' },
  });
  await isReady(sidecar);
  const beside = { ...settings, SIDECAR_OPERATIONS_LISTEN: new URL(sidecar.operationsUrl).host };
  let found: readonly Finding[] = [];
  await until('it says so', async () => {
    found = await findings(beside, { logIn: false });
    return found.some(({ code }) => code === 'SIDECAR_DEGRADED');
  });
  assert.match(only(found, 'SIDECAR_DEGRADED').what, /BROKER_TOO_OLD/);
});

/** What `sys/health` says, from a server that is nobody’s Vault: a shared one cannot be sealed. */
async function useHealth(t: TestContext, sealed: boolean): Promise<Environment> {
  const state = { initialized: true, sealed, server_time_utc: Math.floor(Date.now() / 1_000), version: '2' };
  const server = createHttpServer((_request, response) => void response.end(JSON.stringify(state)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, () => void server.close());
  return {
    SIDECAR_BROKER_ADDR: 'broker.example:8443',
    SIDECAR_SPIFFE_ID: 'spiffe://token-broker.internal/workload/uploads',
    SIDECAR_VAULT_ROLE_ID_FILE: '/nonexistent/role-id',
    SIDECAR_VAULT_SECRET_ID_FILE: '/nonexistent/secret-id',
    VAULT_ADDR: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
  };
}

test('finds that Vault is asked over the network without TLS', async (t) => {
  const settings = await useHealth(t, false);
  const { port } = new URL(settings.VAULT_ADDR ?? '');
  const found = await findings({ ...settings, VAULT_ADDR: `http://0.0.0.0:${port}` }, { logIn: false });
  assert.equal(only(found, 'VAULT_IN_CLEAR').level, 'warning');
  assert.equal(only(found, 'VAULT').level, 'ok');
});

test('finds a Vault that is sealed', async (t) => {
  const found = await findings(await useHealth(t, true));
  assert.match(only(found, 'VAULT_SEALED').cure ?? '', /unseal/);
  assert.equal(only(found, 'CERTIFICATE').level, 'skipped');
});

test('finds a broker that does not accept the certificate', async () => {
  const expected = parseSpiffeId('spiffe://media.example/broker');
  const [ours, theirs] = [await createAuthority(), await createAuthority()];
  const own = await ours.issue(goodSvid('spiffe://media.example/workload/uploads'));
  const peer = await ours.issue(goodSvid(expected.uri));
  const server = createSecureServer({
    key: peer.privateKeyPem,
    cert: peer.certificatePem,
    ca: theirs.certificatePem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const svid = {
    ...own,
    spiffeId: expected,
    serial: '',
    notAfter: new Date(),
    chainPem: [],
    bundlePem: [ours.certificatePem],
  };
  const found = await examineBroker({ address: `127.0.0.1:${port}`, expected, svid, now: Date.now });
  server.close();
  only(found, 'BROKER_REFUSES');
});

test('finds options of Node.js that show memory', async () => {
  const found = await findings({ NODE_OPTIONS: '--max-old-space-size=100 --inspect' });
  assert.match(only(found, 'NODE_OPTIONS_REFUSED').what, /--inspect in NODE_OPTIONS/);
});

test('finds what is wrong at Vault: nobody there, login, signing, role', async (t) => {
  const { vault, settings } = await healthy(t);
  const nobody = await findings({ ...settings, VAULT_ADDR: `http://127.0.0.1:${await freePort()}` });
  only(nobody, 'VAULT_UNREACHABLE');
  assert.equal(only(nobody, 'BROKER').level, 'skipped');

  await writeFile(settings.SIDECAR_VAULT_SECRET_ID_FILE ?? '', 'wrong\n');
  assert.match(only(await findings(settings), 'CREDENTIAL_REJECTED').cure ?? '', /secret id/);

  const { settings: other } = await healthy(t, { vault });
  only(await findings({ ...other, SIDECAR_VAULT_PKI_ROLE: 'broker' }), 'SIGNING_FORBIDDEN');
  const stranger = `spiffe://${vault.layout.trustDomain}/workload/stranger`;
  only(await findings({ ...other, SIDECAR_SPIFFE_ID: stranger }), 'SIGNING_REFUSED');
});

test('does not log in where it is asked not to', async (t) => {
  const { settings } = await healthy(t);
  await writeFile(settings.SIDECAR_VAULT_SECRET_ID_FILE ?? '', 'wrong\n');
  const found = await findings(settings, { logIn: false });
  assert.equal(only(found, 'CERTIFICATE').level, 'skipped');
  assert.equal(only(found, 'VAULT').level, 'ok');
});

test('finds a clock that is ahead of Vault’s, or behind', async (t) => {
  const { settings } = await healthy(t);
  const ahead = await findings(settings, { ahead: 120_000, logIn: false });
  assert.match(only(ahead, 'CLOCK_DIFFERS').what, /1[12]\d s ahead of Vault’s/);
  const behind = await findings(settings, { ahead: -300_000, logIn: false });
  assert.match(only(behind, 'CLOCK_DIFFERS').what, /[23]\d\d s behind Vault’s/);
});

test('finds what is wrong at the broker: nobody there, no TLS, another authority, another name', async (t) => {
  const { vault, settings } = await healthy(t);
  const at = async (address: string) => findings({ ...settings, SIDECAR_BROKER_ADDR: address });
  only(await at(`127.0.0.1:${await freePort()}`), 'BROKER_UNREACHABLE');
  assert.match(only(await at('no-such-host.invalid:8443'), 'BROKER_UNREACHABLE').what, /name is not known/);
  only(await at(new URL(vault.address).host), 'BROKER_NO_TLS');

  const stranger = await useTokenServer(t, await useSetUpVault(t));
  assert.match(only(await at(stranger.address), 'BROKER_OTHER_AUTHORITY').cure ?? '', /SIDECAR_VAULT_PKI_MOUNT/);
  const expected = `spiffe://${vault.layout.trustDomain}/another-broker`;
  const renamed = only(await findings({ ...settings, SIDECAR_BROKER_SPIFFE_ID: expected }), 'BROKER_OTHER_NAME');
  assert.match(renamed.what, /media\.example\/broker, and .*another-broker is expected/);
});

test('finds a channel that the broker would refuse, with the broker’s word for it, and fetches no token', async (t) => {
  const { broker, settings } = await healthy(t);
  broker.stand('ch_a', { refusal: 'ACCESS_DENIED' });
  const found = await findings(settings);
  const refused = only(found, 'CHANNEL_REFUSED');
  assert.match(refused.what, /ch_a: ACCESS_DENIED/);
  assert.equal(broker.calls.length, 0);
});

test('prints marks, codes and cures for people, JSON for programs, and ends with 1 where something is wrong', async (t) => {
  const { settings } = await healthy(t);
  const proxied = { ...settings, TOKEN_SIDECAR_URL: 'http://127.0.0.1:7070', HTTP_PROXY: 'http://proxy.example' };
  const forPeople = await runSidecarOnTerminal({ ...proxied, NO_COLOR: '1' }, 'doctor');
  assert.equal(forPeople.exitCode, 1);
  assert.match(forPeople.stdout, /^✖ PROXY_WITHOUT_NO_PROXY {2}A proxy is set[^→]*\n {4}→ export NO_PROXY=/m);
  assert.match(forPeople.stdout, /^✔ BROKER {2}/m);
  assert.match(forPeople.stdout, /^1 thing to mend/m);
  const forPrograms = await runSidecarHere(settings, 'doctor', '-o', 'json', '--no-login');
  assert.equal(forPrograms.exitCode, 0);
  assert.equal((JSON.parse(forPrograms.stdout) as { ok: boolean }).ok, true);
});
