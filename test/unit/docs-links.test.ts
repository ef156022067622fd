/** Every link of every document leads somewhere in this repository. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { documents, readDocument, root } from '../support/documents.ts';

for (const document of documents) {
  test(`the links of ${document} lead somewhere`, () => {
    const prose = readDocument(document).replaceAll(/^```[\s\S]*?^```/gm, '');
    for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https:\/\//.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? document : normalize(join(dirname(document), path));
      assert.ok(existsSync(join(root, file)), `${target}: no such file`);
      if (anchor !== undefined) assert.ok(anchorsOf(file).includes(anchor), `${target}: no such heading`);
    }
  });
}

test('every document can be found from the README', () => {
  const reached = new Set<string>();
  const visit = (document: string) => {
    if (reached.has(document)) return;
    reached.add(document);
    for (const [, path = ''] of readDocument(document).matchAll(/\]\(([^)#\s]+\.md)/g)) {
      if (!path.startsWith('https:')) visit(normalize(join(dirname(document), path)));
    }
  };
  visit('README.md');
  assert.deepEqual(
    documents.filter((document) => !reached.has(document)),
    [],
  );
});

/** As code hosts make them of headings. */
function anchorsOf(document: string): readonly string[] {
  return [...readDocument(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
