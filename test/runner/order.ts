import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestFile } from './test-files.ts';

const folders = ['test/scenario/', 'test/clients/', 'test/browser/', 'test/contract/', 'test/policies/', 'test/unit/'];
const OWN_DEADLINE = /\btimeout: ([\d_]+)/;

/**
 * Puts the files that take longest first, so that no core waits at the end for one long file: those whose tests ask for
 * a longer deadline than the usual one, then the whole product, single parts, pure rules.
 */
export function inOrder(root: string, files: readonly TestFile[]): TestFile[] {
  const ranked = files.map((file) => ({ file, deadline: deadlineOf(root, file), folder: folderOf(file) }));
  ranked.sort((one, other) => other.deadline - one.deadline || one.folder - other.folder);
  return ranked.map(({ file }) => file);
}

function deadlineOf(root: string, { path }: TestFile): number {
  const [, milliseconds = '0'] = OWN_DEADLINE.exec(readFileSync(join(root, path), 'utf8')) ?? [];
  return Number(milliseconds.replaceAll('_', ''));
}

function folderOf({ path }: TestFile): number {
  const place = folders.findIndex((folder) => path.startsWith(folder));
  return place === -1 ? folders.length : place;
}
