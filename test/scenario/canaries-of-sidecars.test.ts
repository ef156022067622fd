/**
 * Promise 8 for the memory of a running sidecar: it holds tokens and a key, and none of the ways in which a process shows
 * its memory is open: no core dump, no inspector, no heap snapshot, no report; nothing in its environment, its files, its
 * metrics or its last words.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { until } from '../support/poll.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { type SecretKind, searchFor } from '../support/secret-search.ts';
import { isReady, readToken, sidecarEnvironment } from '../support/sidecar.ts';
import { startSidecarProcess } from '../support/sidecar-cli.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const cleanUps: (() => Promise<void>)[] = [];
test.after(async () => {
  for (const clean of cleanUps.reverse()) await clean();
});
const file = { after: (clean: () => Promise<void>) => void cleanUps.push(clean) };
const vault = await useSetUpVault(file);
const broker = await useTokenServer(file, vault);
const environment = await sidecarEnvironment(file, { vault, broker: broker.address });

/** The shell raises the limit as far as it goes: a dump would come, were it not for the sidecar. */
const withDumps = 'ulimit -c unlimited; exec "$@"';
const noDumps = dumpsAreWrittenHere()
  ? false
  : 'this machine writes core dumps elsewhere than into the working folder, or forbids them';

test('a sidecar that is ended by a fault leaves no core dump, where another program does', {
  skip: noDumps,
}, async (t) => {
  const control = await useFolder(t);
  const other = spawn(
    '/bin/sh',
    ['-c', withDumps, 'sh', process.execPath, '-e', 'console.log(1); setInterval(() => {}, 1_000)'],
    { cwd: control },
  );
  atEnd(t, () => void other.kill('SIGKILL'));
  await once(other.stdout, 'data');
  other.kill('SIGABRT');
  await once(other, 'exit');
  assert.notDeepEqual(readdirSync(control), [], 'the comparison leaves no dump either');

  const folder = await useFolder(t);
  const sidecar = await serving(t, folder);
  sidecar.child.kill('SIGABRT');
  assert.equal((await sidecar.ended)[1], 'SIGABRT');
  assert.deepEqual(readdirSync(folder), []);
});

test('signals open no inspector and write no snapshot, and SIGUSR1 rotates the certificate', async (t) => {
  const folder = await useFolder(t);
  const sidecar = await serving(t, folder);
  const certificates = () => sidecar.lines.filter((line) => line.includes('"new certificate"')).length;
  const before = certificates();
  sidecar.child.kill('SIGUSR1');
  await until('there is a new certificate', () => certificates() > before);
  assert.doesNotMatch(sidecar.said.join('\n'), /Debugger listening/);
  assert.deepEqual(readdirSync(folder), []);
});

for (const [what, options] of [
  ['the inspector', ['--inspect=127.0.0.1:0']],
  ['heap snapshots', ['--heapsnapshot-signal=SIGUSR2']],
  ['diagnostic reports', ['--report-on-signal']],
  ['dumps at errors', ['--abort-on-uncaught-exception']],
] as const) {
  test(`does not start with ${what}, and says so`, async (t) => {
    const sidecar = startSidecarProcess(t, environment, ['run'], { nodeOptions: options });
    assert.deepEqual(await sidecar.ended, [2, null]);
    assert.match(
      sidecar.said.join('\n'),
      new RegExp(`- ${options[0].replace(/=.*/, '')} on the command line of Node\\.js `),
    );
  });
}

test('neither its environment, its files, its metrics, its status nor its log hold a token, a key or a login', async (t) => {
  const folder = await useFolder(t);
  const sidecar = await serving(t, folder);
  const shown = ['environ', 'cmdline'].map((name) => readFileSync(`/proc/${sidecar.child.pid}/${name}`, 'latin1'));
  const metrics = await (await fetch(`${sidecar.operationsUrl}/metrics`)).text();
  sidecar.child.kill('SIGTERM');
  assert.deepEqual(await sidecar.ended, [0, null]);
  const secrets = new Map<string, SecretKind>([
    [sidecar.token, 'access token'],
    [readFileSync(environment.SIDECAR_VAULT_SECRET_ID_FILE ?? '', 'utf8').trim(), 'secret id'],
  ]);
  const places = { environment: shown.join('\n'), metrics, log: [...sidecar.lines, ...sidecar.said].join('\n') };
  const leaks = Object.entries(places).flatMap(([place, text]) => searchFor(secrets, place, text));
  assert.deepEqual(leaks, []);
  assert.doesNotMatch(Object.values(places).join('\n'), /PRIVATE KEY/);
  assert.deepEqual(readdirSync(folder), [], 'it has written files');
});

test('its last words name the place of an error that nobody foresaw, and nothing of it', async (t) => {
  const folder = await useFolder(t);
  const sidecar = await serving(t, folder, ['--import', `data:text/javascript,${encodeURIComponent(bomb)}`]);
  sidecar.child.kill('SIGUSR2');
  assert.deepEqual(await sidecar.ended, [1, null]);
  const words = [...sidecar.lines, ...sidecar.said].join('\n');
  assert.match(words, /"kind":"TypeError".*"the sidecar ends on an error that nobody foresaw"/);
  assert.doesNotMatch(words, /canary/);
  assert.deepEqual(readdirSync(folder), []);
});

/** Throws what no program should, at a signal. */
const bomb = `process.on('SIGUSR2', () => { throw Object.assign(new TypeError('ya29.canary'), { token: 'ya29.canary' }); });`;

/** A sidecar that holds a token, started as an operator with generous limits would. */
async function serving(t: TestContext, folder: string, nodeOptions: readonly string[] = []) {
  const released = tokenFor(3_600);
  broker.answer(() => released);
  const env = { ...environment, HOME: folder, TMPDIR: folder, PATH: process.env.PATH ?? '' };
  const sidecar = startSidecarProcess(t, env, ['run'], {
    cwd: folder,
    nodeOptions,
    through: ['/bin/sh', '-c', withDumps, 'sh'],
  });
  const { url = '', operationsUrl = '' } = await sidecar.listening;
  await isReady({ operationsUrl });
  const token = (await readToken({ url }, 'ch_a')).body.access_token ?? '';
  assert.equal(token, released.accessToken.reveal());
  return { ...sidecar, url, operationsUrl, token };
}

function dumpsAreWrittenHere(): boolean {
  try {
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
    const [, hard] = /^Max core file size\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return !/[|/]/.test(pattern) && hard !== '0';
  } catch {
    return false;
  }
}
