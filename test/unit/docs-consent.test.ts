/** docs/consent.md explains every way in which a consent can fail, by the title that the owner reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consentFailures, messageForFailure } from '../../broker/http/consent/consent-messages.ts';
import { code, readDocument, tableOf } from '../support/documents.ts';

const rows = tableOf(readDocument('docs/consent.md'), 'When a consent fails');

test('docs/consent.md has every failure with the title of the owner’s page', () => {
  const expected = consentFailures.map((failure) => [code(failure), messageForFailure(failure, {}).title]);
  assert.deepEqual(
    rows.map((row) => row.slice(0, 2)),
    expected,
  );
});

test('docs/consent.md says something to the operator about each', () => {
  for (const [failure = '', , advice = ''] of rows) assert.ok(advice.length > 10, failure);
});
