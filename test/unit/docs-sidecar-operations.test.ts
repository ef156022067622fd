/** docs/sidecar-operations.md names the traps and metrics that are, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { traps } from '../../sidecar/doctor/finding.ts';
import { createMetrics } from '../../sidecar/operations/metrics.ts';
import { code, codesIn, named, readDocument, tableOf } from '../support/documents.ts';

const text = readDocument('docs/sidecar-operations.md');

test('docs/sidecar-operations.md lists every trap that the doctor finds, with its cure', () => {
  const expected = Object.entries(traps).map(([name, [, wrong, cure]]) => [code(name), wrong, cure]);
  assert.deepEqual(tableOf(text, 'When something is wrong'), expected);
});

test('docs/sidecar-operations.md lists every metric', async () => {
  const told = await createMetrics(() => 0).text();
  const ours = [...told.matchAll(/^# HELP (token_sidecar_\w+) (.*)$/gm)].map(([, name, help]) => [name, help]);
  const documented = tableOf(text, 'Metrics').map(([name, , help]) => [named(name), help]);
  assert.deepEqual(documented.sort(), ours.sort());
  for (const name of codesIn(text).filter((word) => word.startsWith('token_sidecar_')))
    assert.ok(told.includes(name.replace(/[{ ].*/, '')), name);
});
