// Runs the tests: `npm test [-- [--vault] [WORD…]]`.
//
//   WORD      only the files whose path contains one of the words
//   --vault   only the files that touch a Vault server
//
// CI=true takes every test that could not run for a failure, but for what TEST_WITHOUT names (test/support/requires.ts).
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { run } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { inOrder } from './runner/order.ts';
import { EXCUSED, type Outcome, outcomeOf } from './runner/outcome.ts';
import { createReporter } from './runner/reporter.ts';
import { startSharedServers } from './runner/shared-servers.ts';
import { temporaryFilesInMemory } from './runner/temporary-files.ts';
import { findTestFiles, type TestFile } from './runner/test-files.ts';

// For a single test that hangs, so longer than whatever a test waits for by itself (test/support/poll.ts); files that do
// not end are the business of leak-check.ts.
const TEST_DEADLINE_MS = 180_000;

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({ options: { vault: { type: 'boolean' } }, allowPositionals: true });
const touches = (file: TestFile, path: string) => file.imports.has(path);

const files = findTestFiles(root, positionals).filter((file) => !values.vault || touches(file, 'stack/vault.ts'));
process.exitCode = files.length === 0 ? noTests() : await runTests(files);

async function runTests(selected: readonly TestFile[]): Promise<number> {
  const temporary = temporaryFilesInMemory();
  if (temporary) process.env.TMPDIR = temporary.folder;
  // A file that starts a broker takes a second to read and compile its modules, and they are the same ones every time.
  process.env.NODE_COMPILE_CACHE ??= join(root, '.tools/compiled');
  const servers = await startSharedServers(
    {
      vault: selected.some((file) => touches(file, 'test/support/vault.ts')),
      postgres: selected.some((file) => touches(file, 'test/support/postgres.ts')),
    },
    join(root, '.tools/log'),
    process.env,
  );
  const stop = () => servers.stop().finally(() => temporary?.remove());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(1)));
  }
  Object.assign(process.env, servers.env);
  try {
    const count = selected.length === 1 ? '1 test file' : `${selected.length} test files`;
    say(`${[count, ...servers.names].join(', ')}\n\n`);
    const stream = run({
      files: inOrder(root, selected).map(({ path }) => join(root, path)),
      cwd: root,
      // Most of a test's time is waiting for another process.
      concurrency: availableParallelism() + 1,
      execArgv: ['--import', pathToFileURL(join(root, 'test/runner/leak-check.ts')).href],
      timeout: TEST_DEADLINE_MS,
    });
    const outcome = outcomeOf(stream);
    for await (const text of createReporter(root)(stream)) say(text);
    return verdict(await outcome);
  } finally {
    await stop();
  }
}

function noTests(): number {
  say('No test file matches.\n');
  return 1;
}

function verdict({ success, tests, failed, skipped }: Outcome): number {
  if (tests === 0) return noTests();
  const strict = process.env.CI === 'true';
  if (skipped.length > 0) {
    say(`\nNot run on this machine${strict ? ', which CI=true takes for a failure' : ''}:\n`);
    for (const { name, file, reason } of skipped) say(`  ${name} (${relative(root, file)})\n    ${reason}\n`);
  }
  if (failed.length > 0) {
    say('\nFailed, with the reasons above:\n');
    for (const { name, file } of failed)
      say(`  ${name === file ? 'the file itself' : name} (${relative(root, file)})\n`);
  }
  return success && !(strict && skipped.some(({ reason }) => !reason.endsWith(EXCUSED))) ? 0 : 1;
}

function say(text: string): void {
  process.stdout.write(text);
}
