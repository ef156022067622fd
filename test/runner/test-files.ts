import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** A test file and all of this repository's files that it imports, directly or through others. */
export interface TestFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly imports: ReadonlySet<string>;
}

// `import … from './x.ts'`, `export … from './x.ts'`, `import './x.ts'`, `import('./x.ts')`.
const RELATIVE_IMPORT = /\b(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g;

/** Finds the test files whose path contains one of the words; all of them without words. */
export function findTestFiles(root: string, words: readonly string[]): TestFile[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort()
    .map((path) => ({ path, imports: importsOf(root, path) }));
}

function importsOf(root: string, path: string): Set<string> {
  const seen = new Set<string>();
  const visit = (file: string) => {
    const source = readIfThere(file);
    for (const [, specifier = ''] of source.matchAll(RELATIVE_IMPORT)) {
      const imported = resolve(dirname(file), specifier);
      const name = relative(root, imported);
      if (seen.has(name)) continue;
      seen.add(name);
      visit(imported);
    }
  };
  visit(join(root, path));
  return seen;
}

/** A path in a comment or a string may look like an import and not exist. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
