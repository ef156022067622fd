/** The files that Google's libraries read: how they appear, whose they are, how they go. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createCredentialFiles } from '../../sidecar/credential-files.ts';
import { createLocalSecrets } from '../../sidecar/local-secrets.ts';
import { requires } from '../support/requires.ts';
import { useFolder } from '../support/scope.ts';

const TOKEN_URL = 'http://127.0.0.1:7070/v1/channels/ch_1/oauthtoken';

async function useFiles(t: TestContext, change: { mode?: number; owner?: { uid: number; gid: number } } = {}) {
  const folder = join(await useFolder(t), 'files');
  const warnings: string[] = [];
  const log = { info() {}, warn: (_facts: object, message: string) => void warnings.push(message), error() {} };
  const options = { folder, mode: 0o600, owner: undefined, log, ...change };
  return { folder, warnings, files: createCredentialFiles(options), again: () => createCredentialFiles(options) };
}

test('writes what Google’s libraries need, for its owner alone, and nothing else into the folder', async (t) => {
  const { folder, files } = await useFiles(t);
  const path = await files.write('ch_1', TOKEN_URL, 'a-secret');
  assert.equal(path, join(folder, 'ch_1.json'));
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), {
    type: 'external_account_authorized_user',
    audience: '//iam.googleapis.com/locations/global/workforcePools/token-broker/providers/sidecar',
    client_id: 'ch_1',
    client_secret: 'a-secret',
    refresh_token: 'ch_1',
    token_url: TOKEN_URL,
  });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(folder), ['ch_1.json']);
});

test('takes the place of an old file, or of a link, without writing through it', async (t) => {
  const { folder, files } = await useFiles(t);
  await mkdir(folder);
  const target = join(folder, 'elsewhere');
  await writeFile(target, 'untouched');
  await symlink(target, join(folder, 'ch_1.json'));
  await files.write('ch_1', TOKEN_URL, 'one');
  await files.write('ch_1', TOKEN_URL, 'two');
  assert.match(await readFile(join(folder, 'ch_1.json'), 'utf8'), /"two"/);
  assert.equal(await readFile(target, 'utf8'), 'untouched');
});

test('removes its files at the stop, and leaves those of a sidecar that came after it', async (t) => {
  const { folder, files, again } = await useFiles(t);
  await files.write('ch_1', TOKEN_URL, 'one');
  await files.write('ch_2', TOKEN_URL, 'one');
  await again().write('ch_2', TOKEN_URL, 'two');
  await files.remove();
  assert.deepEqual(await readdir(folder), ['ch_2.json']);
});

test('gives a file the mode and the owner that are set', requires('root'), async (t) => {
  const { files } = await useFiles(t, { mode: 0o640, owner: { uid: 65_534, gid: 65_533 } });
  const { mode, uid, gid } = await stat(await files.write('ch_1', TOKEN_URL, 'a-secret'));
  assert.deepEqual([mode & 0o777, uid, gid], [0o640, 65_534, 65_533]);
});

test('writes nothing into a folder that everybody may write to, and says so', async (t) => {
  const { folder, files } = await useFiles(t);
  await mkdir(folder);
  await chmod(folder, 0o777);
  await assert.rejects(
    files.write('ch_1', TOKEN_URL, 'a-secret'),
    /cannot write the credential file .*everybody may write there/,
  );
  assert.deepEqual(await readdir(folder), []);
});

test('warns once where the folder is on a disk', async (t) => {
  const { warnings, files } = await useFiles(t);
  await files.write('ch_1', TOKEN_URL, 'a-secret');
  await files.write('ch_2', TOKEN_URL, 'a-secret');
  assert.ok(warnings.length <= 1);
});

test('a secret is its channel’s and no other’s, and none of an earlier start', () => {
  const [secrets, earlier] = [createLocalSecrets(), createLocalSecrets()];
  const secret = secrets.of('ch_1');
  assert.equal(secrets.of('ch_1'), secret);
  assert.equal(Buffer.from(secret, 'base64url').length, 32);
  assert.ok(secrets.matches('ch_1', secret));
  for (const wrong of ['', secret.slice(1), `${secret}x`, secrets.of('ch_2'), earlier.of('ch_1')])
    assert.equal(secrets.matches('ch_1', wrong), false);
  assert.equal(secrets.matches('ch_none', ''), false);
});
