import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inOrder } from '../runner/order.ts';
import { findTestFiles } from '../runner/test-files.ts';
import { type Scope, useFolder } from '../support/scope.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

const passing = "import { test } from 'node:test'; test('holds', () => {});";
const failing = "import { test } from 'node:test'; test('breaks', () => { throw new Error('as it should'); });";
const skipping = "import { test } from 'node:test'; test('needs the moon', { skip: 'no moon tonight' }, () => {});";
const leaking =
  "import { test } from 'node:test'; import { createServer } from 'node:net'; test('opens', () => { createServer().listen(0); });";

test('passes when all tests pass, with totals for machines to read', async (t) => {
  const { code, said } = await runTests(await useProject(t, { passing }));
  assert.equal(code, 0);
  assert.match(said, /✔ test\/unit\/passing\.test\.ts/);
  assert.match(said, /^ℹ tests 1$/m);
  assert.match(said, /^ℹ fail 0$/m);
});

test('fails when a test fails, naming it with its reason', async (t) => {
  const { code, said } = await runTests(await useProject(t, { passing, failing }));
  assert.equal(code, 1);
  assert.match(said, /✖ breaks {2}test\/unit\/failing\.test\.ts:1/);
  assert.match(said, /as it should/);
  assert.match(said, /^Failed, with the reasons above:\n {2}breaks \(test\/unit\/failing\.test\.ts\)$/m);
});

test('names a test that did not run with the reason, and fails for it where CI=true', async (t) => {
  const project = await useProject(t, { passing, skipping });
  const byHand = await runTests(project);
  assert.equal(byHand.code, 0);
  assert.match(byHand.said, /needs the moon \(test\/unit\/skipping\.test\.ts\)\n {4}no moon tonight/);
  const inCi = await runTests(project, [], { CI: 'true' });
  assert.equal(inCi.code, 1);
});

test('takes no failure for a test that the machine is known to be unable to run, and names it', async (t) => {
  const excused = skipping.replace('tonight', 'tonight (TEST_WITHOUT)');
  const { code, said } = await runTests(await useProject(t, { passing, excused }), [], { CI: 'true' });
  assert.equal(code, 0);
  assert.match(said, /needs the moon/);
});

test('fails for a file that leaves something open, and says what', async (t) => {
  const { code, said } = await runTests(await useProject(t, { leaking }));
  assert.equal(code, 1);
  assert.match(said, /✖ test\/unit\/leaking\.test\.ts/);
  assert.match(said, /left open when all tests were over: TCPServerWrap/);
});

test('fails when there is nothing to run', async (t) => {
  const project = await useProject(t, { passing });
  assert.equal((await runTests(project, ['no-such-test'])).code, 1);
  assert.equal((await runTests(project, ['--vault'])).code, 1);
});

test('runs only the files that are asked for', async (t) => {
  const { code, said } = await runTests(await useProject(t, { passing, failing }), ['passing']);
  assert.equal(code, 0);
  assert.doesNotMatch(said, /failing/);
});

test('knows what a test file imports through others', () => {
  const [file] = findTestFiles(repository, ['unit/test-runner.test.ts']);
  assert.equal(file?.imports.has('test/support/scope.ts'), true);
  const [servers] = findTestFiles(repository, ['contract/stack-servers.test.ts']);
  assert.equal(servers?.imports.has('stack/vault.ts'), true, 'through test/support/vault.ts');
});

test('what takes longest goes first: files with a deadline of their own, then the whole product, pure rules last', () => {
  const order = inOrder(repository, findTestFiles(repository, [])).map(({ path }) => path);
  assert.match(order[0] ?? '', /simulated-week/);
  const kinds = order.map((path) => path.split('/')[1]);
  assert.equal(kinds.at(-1), 'unit');
  assert.ok(kinds.lastIndexOf('scenario') < kinds.indexOf('contract'));
  assert.deepEqual(
    order.toSorted(),
    findTestFiles(repository, []).map(({ path }) => path),
  );
});

test('leaves no temporary file behind, whatever a test leaves', async (t) => {
  const littering = `import { mkdtempSync } from 'node:fs'; import { tmpdir } from 'node:os'; import { test } from 'node:test';
    test('litters', (t) => t.diagnostic(mkdtempSync(tmpdir() + '/litter-')));`;
  const { code, said } = await runTests(await useProject(t, { littering }));
  assert.equal(code, 0);
  const [folder = ''] = /\S*\/litter-\S+/.exec(said) ?? [];
  assert.notEqual(folder, '', said);
  // Where there is no memory for it, temporary files are the system's.
  if (folder.startsWith('/dev/shm/')) assert.equal(existsSync(folder), false);
});

/** A project with the runner of this one and test files of its own. */
async function useProject(scope: Scope, files: Record<string, string>): Promise<string> {
  const project = await useFolder(scope);
  for (const part of [
    'package.json',
    'stack',
    'broker/store/embedded',
    'broker/store/embedded-postgres.ts',
    'test/run.ts',
    'test/runner',
  ]) {
    await cp(join(repository, part), join(project, part), { recursive: true });
  }
  await symlink(join(repository, 'node_modules'), join(project, 'node_modules'));
  await mkdir(join(project, 'test/unit'), { recursive: true });
  for (const [name, source] of Object.entries(files)) {
    await writeFile(join(project, `test/unit/${name}.test.ts`), source);
  }
  return project;
}

async function runTests(
  project: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; said: string }> {
  // Nothing of this run's environment: node would take the inner run for a part of the outer.
  const child = spawn(process.execPath, ['test/run.ts', ...args], {
    cwd: project,
    env: { PATH: process.env.PATH, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said += chunk;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, said };
}
