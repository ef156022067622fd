/** Our documents as tests compare them with the code. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths of all documents, relative to the repository. */
export const documents: readonly string[] = globSync('**/*.md', {
  cwd: root,
  exclude: (name) => name === 'node_modules' || name.startsWith('.'),
}).sort();

export function readDocument(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The part below a heading (its text without `#`), up to the next heading. Throws where there is none. */
export function sectionOf(text: string, heading: string): string {
  const [, section] = text.split(new RegExp(`^#+ ${heading}$`, 'm'));
  if (section === undefined) throw new Error(`there is no heading "${heading}"`);
  return section.split(/^#+ /m)[0] ?? '';
}

/** The rows of the first table below a heading, without its two head lines. Cells keep their marks. */
export function tableOf(text: string, heading: string): string[][] {
  const rows = sectionOf(text, heading)
    .split('\n')
    .filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** A name as documents write it. */
export function code(name: string): string {
  return `\`${name}\``;
}

/** The first name that a cell holds between backticks; an empty text where there is none. */
export function named(cell: string | undefined): string {
  return codesIn(cell)[0] ?? '';
}

/** All names that a text holds between backticks. */
export function codesIn(text: string | undefined): readonly string[] {
  return [...(text ?? '').matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);
}
