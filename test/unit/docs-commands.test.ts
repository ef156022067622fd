/** What a reader of the documents types is there: commands with their options, npm scripts, settings; and the README's session is a real one. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeConfig } from '../../broker/config.ts';
import { errorTable } from '../../broker/errors.ts';
import { settings as sidecarSettings } from '../../sidecar/config.ts';
import { traps } from '../../sidecar/doctor/finding.ts';
import { errorTable as sidecarErrors } from '../../sidecar/errors.ts';
import { runHere } from '../support/cli-process.ts';
import { documents, readDocument, root } from '../support/documents.ts';
import { runSidecarHere } from '../support/sidecar-cli.ts';

/** Command line → the document that has it first. */
const commands = new Map<string, string>();
for (const document of documents) {
  for (const line of commandsIn(readDocument(document))) if (!commands.has(line)) commands.set(line, document);
}

for (const [line, document] of commands) {
  test(`${document}: \`${line}\` can be typed`, async () => {
    const [program, ...typed] = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
    // Behind `--` stands another program’s command.
    const words = typed.slice(0, typed.includes('--') ? typed.indexOf('--') : undefined);
    const help = await helpFor(program, words);
    // The usage of a group of commands ends with `[command]`.
    assert.doesNotMatch(help, /^Usage: .*\[command\]/, 'there is no such command');
    for (const option of words.filter((word) => word.startsWith('-'))) {
      assert.ok(help.includes(`${option} `), `${option} is not an option of it`);
    }
  });
}

test('the documents show commands', () => assert.ok(commands.size > 10));

test('each npm script that the documents name is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  for (const document of documents) {
    for (const [, name = ''] of readDocument(document).matchAll(/npm run ([a-z-]+)/g)) {
      assert.ok(Object.hasOwn(scripts, name), `${document}: npm run ${name}`);
    }
  }
});

test('each setting that the documents name is there', () => {
  const known = [...describeConfig().text.matchAll(/\b[A-Z][A-Z0-9_]+\b/g)].map(([name]) => name);
  const codes = Object.keys({ ...errorTable, ...sidecarErrors, ...traps });
  const names = new Set([...known, ...Object.keys(sidecarSettings.shape), ...codes]);
  for (const document of documents) {
    for (const [name] of readDocument(document).matchAll(/\b(?:BROKER|SIDECAR)_[A-Z0-9_]+\b/g)) {
      // The start of many: `BROKER_…`.
      if (!name.endsWith('_')) assert.ok(names.has(name), `${document}: ${name}`);
    }
  }
});

test('the README tells the story that `npm start` tells', () => {
  const story = readFileSync(join(root, 'demo/story.ts'), 'utf8');
  const [, session = ''] = /```console\n([\s\S]*?)```/.exec(readDocument('README.md')) ?? [];
  const steps = [...session.matchAll(/^ *\d+ {2}(.+)$/gm)].map(([, title = '']) => title);
  assert.ok(steps.length > 3);
  for (const step of steps) assert.ok(story.includes(`'${step}'`), step);
});

/** Lines that begin with `broker` or `sidecar`, as typed: in blocks of code, after a prompt or not, without comments. */
function commandsIn(document: string): readonly string[] {
  const blocks = [...document.matchAll(/^```(?:sh|console)\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
  return blocks
    .join('')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/^\s*(?:\$ )?/, '').replace(/ +(?:#|\().*$/, ''))
    .filter((line) => /^(?:broker|sidecar) /.test(line));
}

/** What the command prints when `--help` is added. */
async function helpFor(program: string | undefined, words: readonly string[]): Promise<string> {
  const run = program === 'sidecar' ? runSidecarHere : runHere;
  const { stdout, stderr } = await run({}, ...words, '--help');
  return stdout + stderr;
}
