/** docs/errors.md and docs/sidecar.md list every error as the code has it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTable } from '../../broker/errors.ts';
import { errorTable as sidecarErrors } from '../../sidecar/errors.ts';
import { identityProblems } from '../../sidecar/identity-error.ts';
import { code, readDocument, tableOf } from '../support/documents.ts';

test('docs/errors.md has every error of the broker, as it is on each wire', () => {
  const expected = Object.entries(errorTable).map(([name, { http, grpc, retry, sentence, next }]) => [
    code(name),
    String(http),
    grpc,
    retry ? 'yes' : 'no',
    sentence,
    next,
  ]);
  assert.deepEqual(tableOf(readDocument('docs/errors.md'), 'The table'), expected);
});

test('docs/sidecar.md has every error of the sidecar’s own', () => {
  const expected = Object.entries(sidecarErrors).map(([name, { http, sentence, next }]) => [
    code(name),
    String(http),
    sentence,
    next,
  ]);
  assert.deepEqual(tableOf(readDocument('docs/sidecar.md'), 'Errors'), expected);
});

test('docs/sidecar.md says of every way to get no certificate what to do', () => {
  const expected = Object.entries(identityProblems).map(([name, next]) => [code(name), next]);
  assert.deepEqual(tableOf(readDocument('docs/sidecar.md'), 'Probes'), expected);
});
