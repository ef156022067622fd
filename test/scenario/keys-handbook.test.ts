/** Every command of docs/keys.md, typed as it stands there, in its order, against the real product. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { findVault } from '../../stack/find-server.mjs';
import { readDocument, root } from '../support/documents.ts';
import { useFolder } from '../support/scope.ts';
import { useOwnVault } from '../support/vault.ts';
import { createToken, useSetUpVault } from '../support/vault-set-up.ts';
import { useWorld } from '../support/world.ts';

const run = promisify(execFile);
const blocks = [...readDocument('docs/keys.md').matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
const commands = blocks.flatMap((block) => block.trim().split('\n'));

// Some twenty programs are started one after the other.
test('each command of the handbook works as it is written, in its order', { timeout: 240_000 }, async (t) => {
  const own = await useOwnVault(t);
  const vault = await useSetUpVault(t, own);
  const world = await useWorld(t, { vault, settings: { BROKER_KEY_POLL_INTERVAL: '200ms', BROKER_KEY_GRACE: '1s' } });
  const id = await world.connectedChannel();
  const folder = await useFolder(t);
  const token = await createToken(own, vault.layout.policies.operator);
  await writeFile(join(folder, 'alice.jwt'), await world.admin.identityToken());
  const shim = async (name: string, command: string) => {
    await writeFile(join(folder, name), `#!/bin/sh\nexec ${command} "$@"\n`);
    await chmod(join(folder, name), 0o755);
  };
  await shim('vault', `'${findVault(process.env)}'`);
  await shim('broker', `'${process.execPath}' '${join(root, 'broker/main.ts')}'`);
  const env = {
    PATH: `${folder}${delimiter}${process.env.PATH}`,
    HOME: folder,
    VAULT_ADDR: own.address,
    VAULT_TOKEN: token.reveal(),
    BROKER_URL: world.broker.publicUrl,
    BROKER_TOKEN_FILE: join(folder, 'alice.jwt'),
  };
  const { transit } = vault.layout.mounts;
  const said: string[] = [];
  for (const command of commands) {
    // The one thing that differs from the handbook: the test's mount has a prefix.
    const { stdout } = await run('sh', ['-euc', command.replaceAll(' transit/', ` ${transit}/`)], { env });
    said.push(stdout);
  }
  const of = (command: string) => said[commands.indexOf(command)] ?? assert.fail(`the handbook has no ${command}`);
  assert.match(of('vault read transit/keys/tenant-acme'), /^derived\s+true$/m);
  assert.match(of('broker tenant rotate-key acme'), /newest version 2, minimum 1/);
  assert.match(of('broker tenant key-status acme --output json'), /"newest_version": 3[\s\S]*"rows_to_rewrap": 0/);
  assert.match(of('broker tenant raise-min-version acme'), /newest version 3, minimum 3/);
  assert.match(of('broker tenant key-schedule acme --every 90d'), /schedule\s+every 90d/);
  assert.match(of('vault list transit/keys'), /^tenant-acme$/m);
  assert.match(said.at(-1) ?? '', /^key +missing$/m);
  assert.equal((await world.channel(id)).state, 'active');
});
