/** ARCHITECTURE.md names every room, table and library that there is, and none that there is not. */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { codesIn, readDocument, root, sectionOf, tableOf } from '../support/documents.ts';

const text = readDocument('ARCHITECTURE.md');
const programs = ['broker', 'sidecar', 'identity', 'proto'];
/** What .gitignore keeps out. */
const notOurs = ['node_modules', 'dist', 'coverage'];

test('ARCHITECTURE.md has each room of the house', () => {
  const tree = /```\n([\s\S]*?)```/.exec(sectionOf(text, 'The house'))?.[1] ?? '';
  const lines = [...tree.matchAll(/^( *)([\w.-]+\/?)/gm)].map(([, indent = '', name = '']) => ({ indent, name }));
  const outer = lines.filter(({ indent }) => indent === '').map(({ name }) => name);
  const inBroker = lines.filter(({ indent }) => indent !== '').map(({ name }) => name);
  assert.deepEqual(outer.toSorted(), foldersIn('.').toSorted());
  assert.deepEqual(inBroker.filter((name) => name.endsWith('/')).toSorted(), foldersIn('broker').toSorted());
  const files = readdirSync(join(root, 'broker'));
  for (const name of inBroker) assert.ok(files.includes(name.replace('/', '')), `broker/${name} is not there`);
});

test('ARCHITECTURE.md has each table of the database', () => {
  const migrations = globSync('broker/store/migrations/*.ts', { cwd: root }).map(read).join('\n');
  const created = [...migrations.matchAll(/create table (\w+)/g)].map(([, name = '']) => name);
  const kept = [...read('broker/store/migrate.ts').matchAll(/'(schema_migrations\w*)'/g)].map(([, name = '']) => name);
  const documented = tableOf(text, 'What is stored where').flatMap(([name]) => codesIn(name));
  const tables = documented.filter((name) => /^[a-z_]+$/.test(name));
  assert.deepEqual(tables.toSorted(), [...created, ...kept].toSorted());
});

test('ARCHITECTURE.md has each library, and says why', () => {
  const rows = tableOf(text, 'What it is built on');
  const documented = rows.flatMap(([name]) => codesIn(name));
  const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, object>;
  const installed = Object.keys({ ...dependencies, ...devDependencies });
  for (const name of documented) assert.ok(installed.includes(name), `${name} is not a dependency`);
  for (const name of importedPackages()) assert.ok(documented.includes(name), `${name} is not explained`);
  for (const [name, , why = ''] of rows) assert.notEqual(why, '', name);
});

function foldersIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !notOurs.includes(entry.name))
    .map(({ name }) => `${name}/`);
}

function importedPackages(): ReadonlySet<string> {
  const sources = programs.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root })).map(read);
  const imported = sources.flatMap((source) => [...source.matchAll(/^(?:import|} from).*'([^'.][^']*)';$/gm)]);
  const names = imported.map(([, specifier = '']) =>
    specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/'),
  );
  return new Set(names.filter((name) => !name.startsWith('node:') && !builtinModules.includes(name)));
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
