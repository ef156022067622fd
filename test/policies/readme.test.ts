import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { layout } from '../../vault-policies/layout.ts';
import { policyFiles, policyText } from '../../vault-policies/policy-text.ts';

const names = layout({ trustDomain: 'media.example' });
const readme = await readFile(new URL('../../vault-policies/README.md', import.meta.url), 'utf8');

/** `path: capabilities` of each block of a policy. */
function blocksOf(hcl: string): readonly string[] {
  const blocks = [...hcl.matchAll(/^path "([^"]+)" \{\s+capabilities = \[([^\]]*)\]/gm)];
  return blocks.map(([, path, capabilities = '']) => `${path}: ${capabilities.replaceAll('"', '')}`);
}

/** `path: capabilities` of each row of the table below the heading that names the file. */
function rowsOf(file: string): readonly string[] {
  const section = readme.split(/^## /m).find((each) => each.split('\n')[0]?.includes(`\`${file}.hcl\``)) ?? '';
  const rows = [...section.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$/gm)];
  assert.ok(rows.every(([, , , why = '']) => why.trim() !== ''));
  return rows.map(([, path, capabilities]) => `${path}: ${capabilities}`);
}

for (const file of policyFiles) {
  test(`the README explains each line of ${file}.hcl, and nothing that is not there`, async () => {
    const hcl = await policyText(file, names);
    assert.equal(blocksOf(hcl).length, [...hcl.matchAll(/^path /gm)].length);
    assert.ok(blocksOf(hcl).length > 0);
    assert.deepEqual(rowsOf(file), blocksOf(hcl));
  });
}

test('each policy has its own names where the layout has a prefix', async () => {
  const prefixed = layout({ trustDomain: 'media.example', prefix: 'test-' });
  for (const file of policyFiles) {
    const paths = blocksOf(await policyText(file, prefixed));
    const shared = paths.filter((path) => !path.includes('test-'));
    assert.deepEqual(
      shared.filter((path) => !/^(sys\/(mounts|auth)|auth\/token\/\S+|identity\/oidc\/config): /.test(path)),
      [],
    );
  }
});
