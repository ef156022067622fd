/** The terminal: tables, colours, secrets typed unseen, credential files. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { CliError } from '../../broker/cli/cli-error.ts';
import { writeCredential } from '../../broker/cli/credential-files.ts';
import { createOutput } from '../../broker/cli/output.ts';
import { readSecret } from '../../broker/cli/secret-input.ts';
import { printable, renderTable } from '../../broker/cli/table.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { useFolder } from '../support/scope.ts';

test('a table that is too wide for the terminal wraps its widest cells, and loses nothing', () => {
  const table = renderTable(['id', 'title'], [['ch_1', 'x'.repeat(100)]], 40);
  for (const line of table.split('\n')) assert.ok(line.length <= 40, line);
  assert.equal(table.match(/x/g)?.length, 100);
});

test('a table for a file is as wide as its cells', () => {
  const table = renderTable(['id', 'title'], [['ch_1', 'x'.repeat(300)]], Number.POSITIVE_INFINITY);
  assert.equal(table.split('\n').length, 2);
});

test('no control character of a title reaches the terminal', () => {
  const table = renderTable(['title'], [['evil\u001b[2J\u001b]0;owned\u0007\rname']], 80);
  assert.doesNotMatch(table, /[^\P{Cc}\n]/u);
});

test('no title turns the direction of what stands beside it, or begins a line of its own', () => {
  assert.equal(printable('a\u202Eb\u2066c\u2028d'), 'a b c d');
});

function terminal(isTTY: boolean) {
  return { stdout: Object.assign(new PassThrough(), { isTTY }), stderr: Object.assign(new PassThrough(), { isTTY }) };
}

for (const [isTTY, noColor, coloured] of [
  [true, false, true],
  [true, true, false],
  [false, false, false],
] as const) {
  test(`${isTTY ? 'a terminal' : 'a pipe'}${noColor ? ' with NO_COLOR' : ''} gets ${coloured ? '' : 'no '}colours`, async () => {
    const streams = terminal(isTTY);
    const output = createOutput(streams, noColor);
    output.table(['id'], [['1']], 'none');
    output.facts([['id', '1']]);
    output.error(new CliError('Wrong.', { exitCode: 1, hints: ['Mend it.'] }));
    for (const stream of [streams.stdout, streams.stderr]) {
      stream.end();
      assert.equal((await text(stream)).includes('\u001b['), coloured);
    }
  });
}

test('facts show no control character of what people wrote', async () => {
  const streams = terminal(false);
  createOutput(streams, false).facts([['name', 'a\u001b[2Jb']]);
  streams.stdout.end();
  assert.equal(await text(streams.stdout), 'name  ab\n');
});

test('a secret that is typed is not shown', async () => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => stdin });
  const stderr = new PassThrough();
  const read = readSecret('client secret', undefined, { stdin, stderr });
  stdin.write('canary\r');
  assert.equal((await read).reveal(), 'canary');
  stderr.end();
  assert.equal(await text(stderr), 'client secret: \n');
});

test('who ends the input instead of typing is told so', async () => {
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => stdin });
  const read = readSecret('client secret', undefined, { stdin, stderr: new PassThrough() });
  stdin.end();
  await assert.rejects(read, { message: 'There is no client secret.' });
});

test('a secret from a file loses its line end and nothing else', async (t) => {
  const file = join(await useFolder(t), 'secret');
  await writeFile(file, 'canary\r\n');
  const source = { stdin: new PassThrough(), stderr: new PassThrough() };
  assert.equal((await readSecret('client secret', file, source)).reveal(), 'canary');
  await assert.rejects(readSecret('client secret', `${file}.missing`, source), /The file cannot be read/);
});

test('a credential is readable for its owner only, replaces an earlier one whole, and leaves nothing beside', async (t) => {
  const folder = join(await useFolder(t), 'new', 'folder');
  await writeCredential(folder, { roleId: 'role-1', secretId: new Secret('canary-1') });
  const { secretIdFile } = await writeCredential(folder, { roleId: 'role-1', secretId: new Secret('canary-2') });
  assert.equal(await readFile(secretIdFile, 'utf8'), 'canary-2');
  assert.deepEqual(await readdir(folder), ['role-id', 'secret-id']);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const file of await readdir(folder)) assert.equal((await stat(join(folder, file))).mode & 0o777, 0o600);
});
