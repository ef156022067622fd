/** SECURITY.md promises nothing without naming tests that are there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDocument, tableOf } from '../support/documents.ts';

const promises = tableOf(readDocument('SECURITY.md'), 'The promises');

test('SECURITY.md has twelve promises, each with a test', () => {
  assert.equal(promises.length, 12);
  for (const [promise, shownBy] of promises) assert.match(shownBy ?? '', /`test\/[\w/-]+\.test\.ts`: "/, promise);
});

test('each test that SECURITY.md names is there, by its words', () => {
  for (const [, shownBy = ''] of promises) {
    let file = '';
    let source = '';
    for (const [, path, name] of shownBy.matchAll(/`(test\/[^`]+)`|"([^"]+)"/g)) {
      if (path) [file, source] = [path, readDocument(path).replaceAll("\\'", "'")];
      if (name) assert.ok(source.includes(name), `${file}: ${name}`);
    }
  }
});
