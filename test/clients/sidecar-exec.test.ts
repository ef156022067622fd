/** Google's unmodified libraries, started by `sidecar exec` in an environment that is full of traps. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { executableOf, pythonEnvironment, requires } from '../support/requires.ts';
import { useFolder } from '../support/scope.ts';
import { sidecarEnvironment } from '../support/sidecar.ts';
import { startSidecarProcess } from '../support/sidecar-cli.ts';
import { tokenFor, useTokenServer } from '../support/token-server.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

/** A proxy that must not be asked, a login of gcloud and a key file that must not win. */
async function useTraps(t: TestContext): Promise<Record<string, string>> {
  const home = await useFolder(t);
  const key = join(home, '.config/gcloud/application_default_credentials.json');
  await mkdir(join(home, '.config/gcloud'), { recursive: true });
  await writeFile(
    key,
    JSON.stringify({ type: 'authorized_user', client_id: 'x', client_secret: 'x', refresh_token: 'x' }),
  );
  const proxy = 'http://127.0.0.1:1';
  return {
    HOME: home,
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    HTTPS_PROXY: proxy,
    https_proxy: proxy,
    no_proxy: 'intranet',
    GOOGLE_APPLICATION_CREDENTIALS: key,
    NO_GCE_CHECK: 'true',
  };
}

async function runInTraps(t: TestContext, words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const vault = await useSetUpVault(t);
  const broker = await useTokenServer(t, vault);
  const released = tokenFor(3_600);
  broker.answer(() => released);
  const settings = await sidecarEnvironment(t, { vault, broker: broker.address });
  const env = { ...settings, ...(await useTraps(t)), ...environment };
  const { lines, said, ended } = startSidecarProcess(t, env, ['exec', '--channel', 'ch_1', '--', ...words]);
  assert.deepEqual(await ended, [0, null], said.join('\n'));
  return { told: JSON.parse(lines.join('')), token: released.accessToken.reveal(), calls: broker.calls };
}

test('Node’s gets the token of the channel', async (t) => {
  const worker = join(import.meta.dirname, 'google-auth-library.ts');
  const { told, token, calls } = await runInTraps(t, [process.execPath, worker]);
  assert.equal(told.token, token);
  assert.deepEqual(
    calls.map(({ channel }) => channel),
    ['ch_1'],
  );
});

test('Python’s gets the token of the channel', requires('python-google-auth'), async (t) => {
  const worker = `
import json, google.auth, google.auth.transport.requests
credentials, _ = google.auth.default()
credentials.refresh(google.auth.transport.requests.Request())
print(json.dumps({"token": credentials.token}))`;
  const { told, token } = await runInTraps(t, [executableOf('python-google-auth'), '-c', worker], pythonEnvironment);
  assert.equal(told.token, token);
});
