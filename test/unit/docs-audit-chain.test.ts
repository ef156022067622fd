/** The Python of docs/audit.md computes the same chain, so that an auditor needs no code of ours. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { appended, emptyChain } from '../../broker/domain/audit-chain.ts';
import { exportLine } from '../../broker/domain/audit-export.ts';
import { readDocument } from '../support/documents.ts';
import { aRecord } from '../support/store-fixtures.ts';

test('the Python in docs/audit.md computes the hashes that the broker writes', () => {
  const [, python = ''] = /```python\n([\s\S]*?)```/.exec(readDocument('docs/audit.md')) ?? [];
  const records = [
    aRecord('tenant.create', { facts: { z: 'ü “quoted” \\ \n\u0001 \u{1f600}', a: ['x', 'y'], n: 12, yes: true } }),
    aRecord('token.release', { ip: undefined, tenant: undefined, channel: 'ch_1' }),
  ];
  let head = emptyChain('acme');
  const lines = records.map((record) => {
    const { chain, seq, version, hash } = appended(head, record);
    head = { chain, seq, hash };
    return exportLine({ type: 'record', chain, seq, version, hash, record });
  });
  const program = `${python}
import sys
head = beginning("acme")
for line in sys.stdin:
    r = json.loads(line)
    head = chained(head, r["seq"], leaf(r))
    assert head.hex() == r["hash"], r["seq"]
print(head.hex())`;
  const printed = execFileSync('python3', ['-c', program], { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
  assert.equal(printed.trim(), head.hash.toString('hex'));
});
