/** docs/audit.md has every action that can be on record, in the words of the code. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditActions } from '../../broker/domain/audit-actions.ts';
import { code, readDocument, tableOf } from '../support/documents.ts';

test('docs/audit.md has every action, and no other', () => {
  const rows = tableOf(readDocument('docs/audit.md'), 'Actions').map(([action, what]) => [action, what]);
  assert.deepEqual(
    rows,
    Object.entries(auditActions).map(([name, { what }]) => [code(name), what]),
  );
});
