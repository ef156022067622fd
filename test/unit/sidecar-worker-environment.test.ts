import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { environmentOfWorker, sparesLoopback, workerChange } from '../../sidecar/worker/environment.ts';
import { writeEnvironment } from '../../sidecar/worker/formats.ts';
import { workerEnvironment as testedWithLibraries } from '../clients/worker.ts';
import { runSidecarHere } from '../support/sidecar-cli.ts';

const places = {
  url: 'http://127.0.0.1:7070',
  channel: 'ch_a',
  metadataHost: '127.0.0.1:7072',
  credentialFile: undefined,
  credentialFolder: undefined,
};

test('is the environment that Google’s libraries are tested with', () => {
  const { HTTP_PROXY, HTTPS_PROXY, ...tested } = testedWithLibraries('http://127.0.0.1:7072');
  const { TOKEN_SIDECAR_URL, TOKEN_SIDECAR_CHANNEL, GOOGLE_APPLICATION_CREDENTIALS, NO_GCE_CHECK, ...change } =
    workerChange(places, {});
  assert.deepEqual(change, tested);
  assert.deepEqual([TOKEN_SIDECAR_URL, TOKEN_SIDECAR_CHANNEL], ['http://127.0.0.1:7070', 'ch_a']);
  assert.deepEqual([GOOGLE_APPLICATION_CREDENTIALS, NO_GCE_CHECK], [undefined, undefined]);
});

test('keeps a project that is named, and names a credential file where there is one', () => {
  const change = workerChange(
    { ...places, metadataHost: undefined, credentialFile: '/run/x/ch_a.json' },
    { GOOGLE_CLOUD_PROJECT: 'ours' },
  );
  assert.equal(change.GOOGLE_CLOUD_PROJECT, 'ours');
  assert.equal(change.GOOGLE_APPLICATION_CREDENTIALS, '/run/x/ch_a.json');
  assert.ok(!('GCE_METADATA_HOST' in change));
});

for (const [before, after] of [
  [{}, { NO_PROXY: '127.0.0.1,localhost' }],
  [{ NO_PROXY: 'a, localhost' }, { NO_PROXY: 'a,localhost,127.0.0.1' }],
  [{ no_proxy: 'b' }, { NO_PROXY: 'b,127.0.0.1,localhost', no_proxy: 'b,127.0.0.1,localhost' }],
  [{ NO_PROXY: '*' }, { NO_PROXY: '*,127.0.0.1,localhost' }],
] as const) {
  test(`adds loopback to ${JSON.stringify(before)}, in each spelling that is in use`, () => {
    const { NO_PROXY, no_proxy } = workerChange(places, before);
    assert.deepEqual({ NO_PROXY, ...(no_proxy === undefined ? {} : { no_proxy }) }, after);
    assert.ok(sparesLoopback({ NO_PROXY, no_proxy }));
  });
}

test('takes a list for none where one of the two spellings lacks loopback', () => {
  assert.ok(!sparesLoopback({}));
  assert.ok(!sparesLoopback({ NO_PROXY: 'example.com' }));
  assert.ok(!sparesLoopback({ NO_PROXY: '127.0.0.1', no_proxy: 'example.com' }));
  assert.ok(sparesLoopback({ no_proxy: 'example.com, 127.0.0.1' }));
});

test('leaves out of the worker’s environment whatever is the sidecar’s own', () => {
  const own = {
    PATH: '/bin',
    SIDECAR_LISTEN: 'x',
    VAULT_TOKEN: 'x',
    VAULT_ADDR: 'x',
    BAO_TOKEN: 'x',
    NO_GCE_CHECK: 'true',
  };
  const environment = environmentOfWorker(own, workerChange(places, own));
  assert.equal(environment.PATH, '/bin');
  assert.deepEqual(
    Object.keys(environment).filter((name) => /^(SIDECAR_|VAULT_|BAO_|NO_GCE)/.test(name)),
    [],
  );
});

test('is read by a shell as it was meant, whatever characters there are', () => {
  const change = { ODD: `it's "$HOME" \`id\` ; & \\ a\nb`, PLAIN: 'a,b', GONE: undefined };
  const script = `GONE=1; export GONE; ${writeEnvironment(change, 'sh')} printf '%s|%s|%s' "$ODD" "$PLAIN" "\${GONE-gone}"`;
  assert.equal(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }), `${change.ODD}|a,b|gone`);
});

test('is written for dotenv and as JSON, too', () => {
  const change = { A: '1', GONE: undefined };
  assert.equal(writeEnvironment(change, 'dotenv'), 'A=1\n');
  assert.deepEqual(JSON.parse(writeEnvironment(change, 'json')), { A: '1', GONE: null });
});

test('`sidecar env` takes the only channel, and asks for one where there are several', async () => {
  const one = await runSidecarHere({ SIDECAR_GCE_CHANNELS: 'ch_a=7072' }, 'env', '-f', 'json');
  assert.equal(JSON.parse(one.stdout).GCE_METADATA_HOST, '127.0.0.1:7072');
  const two = { SIDECAR_GCE_CHANNELS: 'ch_a=7072,ch_b=7073' };
  const asked = await runSidecarHere(two, 'env');
  assert.equal(asked.exitCode, 2);
  assert.match(asked.stderr, /\[CHANNEL_NOT_NAMED\]\nhint: Name one by --channel: ch_a, ch_b\./);
  const named = await runSidecarHere(two, 'env', '-c', 'ch_b', '-f', 'json');
  assert.equal(JSON.parse(named.stdout).TOKEN_SIDECAR_CHANNEL, 'ch_b');
});

test('`sidecar env` names the credential file of a channel that has one', async () => {
  const settings = { SIDECAR_CREDENTIAL_FILES: 'ch_a', SIDECAR_CREDENTIAL_FOLDER: '/run/workers' };
  const { stdout } = await runSidecarHere(settings, 'env', '--format', 'dotenv');
  assert.match(stdout, /^GOOGLE_APPLICATION_CREDENTIALS=\/run\/workers\/ch_a\.json$/m);
});

for (const [what, settings, code] of [
  ['no channel is served', {}, 'CHANNEL_NOT_SERVED'],
  ['a port is chosen at the start', { SIDECAR_GCE_CHANNELS: 'ch_a=0' }, 'PORT_NOT_FIXED'],
  ['a setting is malformed', { SIDECAR_LISTEN: 'x' }, 'CONFIG_INVALID'],
] as const) {
  test(`\`sidecar env\` prints nothing where ${what}`, async () => {
    const { exitCode, stdout, stderr } = await runSidecarHere(settings, 'env');
    assert.deepEqual([exitCode, stdout], [2, '']);
    assert.ok(stderr.includes(`[${code}]`));
  });
}
