/** `sidecar exec`: a worker that is started when it can be served, with what it needs and nothing of the sidecar's. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BrokerError } from '../../broker/errors.ts';
import { freePort } from '../../stack/free-port.ts';
import { until } from '../support/poll.ts';
import { useFolder } from '../support/scope.ts';
import { sidecarEnvironment } from '../support/sidecar.ts';
import { startSidecarProcess } from '../support/sidecar-cli.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const file = { after: (clean: () => Promise<void>) => void cleanUps.push(clean) };
const cleanUps: (() => Promise<void>)[] = [];
test.after(async () => {
  for (const clean of cleanUps.reverse()) await clean();
});
const vault = await useSetUpVault(file);
const broker = await useTokenServer(file, vault);
const base = await sidecarEnvironment(file, { vault, broker: broker.address });
const { SIDECAR_LISTEN, SIDECAR_OPERATIONS_LISTEN, ...settings } = base;

const node = process.execPath;
/** Prints its environment and a token that it got as any worker does, and its id. */
const worker = `
  const url = process.env.TOKEN_SIDECAR_URL + '/v1/channels/ch_a/token';
  const answer = await fetch(url, { headers: { 'X-Sidecar-Request': 'true' } });
  const { access_token: token } = await answer.json();
  console.log(JSON.stringify({ env: process.env, token, pid: process.pid }));`;

interface Told {
  readonly env: Record<string, string>;
  readonly token: string;
  readonly pid: number;
}

/** Runs `sidecar exec` with these words; the environment is the usual one and this. */
function exec(t: TestContext, words: readonly string[], environment: Record<string, string> = {}) {
  return startSidecarProcess(t, { ...settings, HOME: '/nonexistent', ...environment }, ['exec', ...words]);
}

const script = (text: string) => [node, '--input-type=module', '-e', text];

test('gives the worker its token, the places to find it, and nothing of the sidecar’s own', async (t) => {
  const released = tokenFor(3_600);
  broker.answer(() => released);
  const before = {
    VAULT_TOKEN: 'canary',
    BAO_TOKEN: 'canary',
    GOOGLE_APPLICATION_CREDENTIALS: '/key.json',
    NO_PROXY: 'intranet',
    KEPT: 'yes',
  };
  const { lines, said, ended } = exec(t, ['--channel', 'ch_a', '--', ...script(worker)], before);
  assert.deepEqual(await ended, [0, null], said.join('\n'));
  const { env, token } = JSON.parse(lines.join('')) as Told;
  assert.equal(token, released.accessToken.reveal());
  assert.deepEqual(
    Object.keys(env).filter((name) => /^(SIDECAR|VAULT|BAO)_/.test(name)),
    [],
  );
  assert.equal(env.KEPT, 'yes');
  assert.equal(env.NO_PROXY, 'intranet,127.0.0.1,localhost');
  assert.match(env.GCE_METADATA_HOST ?? '', /^127\.0\.0\.1:\d+$/);
  assert.equal(env.GOOGLE_APPLICATION_CREDENTIALS, join(env.TOKEN_SIDECAR_CREDENTIALS ?? '', 'ch_a.json'));
  assert.ok(!existsSync(env.TOKEN_SIDECAR_CREDENTIALS ?? '/'), 'the credential files are still there');
  assert.ok(
    said.some((line) => line.includes('the worker has ended')),
    'its log is not on stderr',
  );
});

test('keeps the credential files on a tmpfs while the worker runs', async (t) => {
  broker.answer(() => tokenFor(3_600));
  const { child, lines } = exec(t, ['--channel', 'ch_a', '--', ...script(`${worker} setInterval(() => {}, 1_000);`)]);
  await until('the worker speaks', () => lines.length > 0);
  const { env } = JSON.parse(lines.join('')) as Told;
  const folder = env.TOKEN_SIDECAR_CREDENTIALS ?? '';
  assert.equal((await statfs(folder)).type, 0x01021994);
  assert.deepEqual(await readdir(folder), ['ch_a.json']);
  assert.match(await readFile(env.GOOGLE_APPLICATION_CREDENTIALS ?? '', 'utf8'), /external_account_authorized_user/);
  child.kill('SIGTERM');
});

test('runs the worker as another user, who may read its channel’s tokens and its credential file', {
  skip: process.getuid?.() === 0 ? false : 'only root can start processes of other users',
}, async (t) => {
  broker.answer(() => tokenFor(3_600));
  const reads = `${worker}
      const { readFileSync } = await import('node:fs');
      const { client_secret } = JSON.parse(readFileSync(process.env.GOOGLE_APPLICATION_CREDENTIALS, 'utf8'));
      console.log(JSON.stringify({ uid: process.getuid(), gid: process.getgid(), groups: process.getgroups(), read: !!client_secret }));`;
  const { lines, said, ended } = exec(t, ['-c', 'ch_a', '--uid', '54321', '--gid', '54322', '--', ...script(reads)]);
  assert.deepEqual(await ended, [0, null], said.join('\n'));
  assert.match((JSON.parse(lines[0] ?? '') as Told).token, /^ya29/);
  const seen = JSON.parse(lines[1] ?? '') as { groups: number[] };
  assert.deepEqual(
    { ...seen, groups: seen.groups.filter((group) => group !== 54_322) },
    { uid: 54_321, gid: 54_322, groups: [], read: true },
  );
});

for (const [what, words, code] of [
  ['the exit code of the worker', script('process.exitCode = 42'), 42],
  ['128 and the number of the signal that ended it', script('process.kill(process.pid, "SIGKILL")'), 137],
  ['127 where there is no such command', ['/nonexistent/worker'], 127],
  ['126 where it cannot be run', ['/etc/passwd'], 126],
] as const) {
  test(`ends with ${what}`, async (t) => {
    broker.answer(() => tokenFor(3_600));
    const { ended, said } = exec(t, ['--channel', 'ch_a', '--', ...words]);
    assert.deepEqual(await ended, [code, null], said.join('\n'));
  });
}

test('passes signals on, serves the worker until its end, and leaves no zombie', async (t) => {
  broker.answer(() => tokenFor(3_600));
  const winding = `${worker}
    for (const signal of ['SIGHUP', 'SIGUSR2']) process.on(signal, () => console.log(signal));
    process.on('SIGTERM', async () => {
      const answer = await fetch(url, { headers: { 'X-Sidecar-Request': 'true' } });
      console.log('wound up ' + answer.status);
      process.exit(7);
    });
    console.log('ready');
    setInterval(() => {}, 1_000);`;
  const { child, lines, said, ended } = exec(t, ['--channel', 'ch_a', '--', ...script(winding)]);
  await until('the worker is ready', () => lines.includes('ready'));
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) {
    child.kill(signal);
    await until(`the worker hears ${signal}`, () => lines.includes(signal));
  }
  const { pid } = JSON.parse(lines[0] ?? '') as Told;
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [7, null], said.join('\n'));
  assert.equal(lines.at(-1), 'wound up 200');
  assert.ok(!existsSync(`/proc/${pid}`), 'the worker is still there');
});

test('waits for the worker itself: while that runs, an ended child of it is no concern, and an ended worker is waited for', async (t) => {
  broker.answer(() => tokenFor(3_600));
  const { child, lines } = exec(t, ['--channel', 'ch_a', '--', ...script(`${worker} setInterval(() => {}, 1_000);`)]);
  await until('the worker speaks', () => lines.length > 0);
  const { pid } = JSON.parse(lines[0] ?? '') as Told;
  const [, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  assert.equal(Number(parent), child.pid);
  process.kill(pid, 'SIGKILL');
  await until('both have gone', () => !existsSync(`/proc/${pid}`));
});

test('does not restart the worker when the certificate or the token is replaced', async (t) => {
  broker.answer(() => tokenFor(3_600));
  const socket = join(await useFolder(t), 'admin');
  const { child, lines, said } = exec(
    t,
    ['--channel', 'ch_a', '--', ...script(`${worker} setInterval(() => {}, 1_000);`)],
    { SIDECAR_ADMIN_SOCKET: socket },
  );
  await until('the worker speaks', () => lines.length > 0);
  const certificates = () => said.filter((line) => line.includes('"new certificate"')).length;
  const before = certificates();
  child.kill('SIGUSR1');
  await until('there is a new certificate', () => certificates() > before);
  const { pid } = JSON.parse(lines[0] ?? '') as Told;
  assert.ok(existsSync(`/proc/${pid}`));
  assert.equal(lines.length, 1, 'another worker has spoken');
});

test('says at once why the broker refuses, without starting the worker', async (t) => {
  broker.answer(() => {
    throw new BrokerError('ACCESS_DENIED');
  });
  const { ended, lines, said } = exec(t, [
    '--channel',
    'ch_denied',
    '--quiet',
    '--',
    ...script('console.log("started")'),
  ]);
  assert.deepEqual(await ended, [125, null]);
  assert.deepEqual(lines, []);
  assert.match(said.join('\n'), /^error: .*\[ACCESS_DENIED\]$/m);
});

test('gives up at its deadline, with what is in the way', async (t) => {
  const away = { VAULT_ADDR: `http://127.0.0.1:${await freePort()}` };
  const { ended, lines, said } = exec(
    t,
    ['--channel', 'ch_a', '--wait', '1', '--quiet', '--', ...script('console.log("started")')],
    away,
  );
  assert.deepEqual(await ended, [125, null]);
  assert.deepEqual(lines, []);
  const text = said.join('\n');
  assert.match(text, /^error: the worker was not started: tokens could not be had within 1 s \[STARTING\]$/m);
  assert.match(text, /^ {2}- VAULT_UNREACHABLE: Check VAULT_ADDR/m);
});

test('ends with 128 + N where a signal comes before the worker is started', async (t) => {
  const away = { VAULT_ADDR: `http://127.0.0.1:${await freePort()}` };
  const { child, ended, listening, said } = exec(
    t,
    ['--channel', 'ch_a', '--', ...script('console.log("started")')],
    away,
  );
  await listening;
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [143, null], said.join('\n'));
});

test('says by 125 that the settings are wrong, and not by a code that a worker has', async (t) => {
  const { ended, said } = exec(t, ['--', 'true'], { SIDECAR_TYPO: '1' });
  assert.deepEqual(await ended, [125, null]);
  assert.match(said.join('\n'), /SIDECAR_TYPO is not a setting/);
});
