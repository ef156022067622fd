import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, errorTable } from '../../broker/errors.ts';
import { consentFailures, messageForError, messageForFailure } from '../../broker/http/consent/consent-messages.ts';
import { messagePage } from '../../broker/http/consent/consent-pages.ts';
import { readResult, writeResult } from '../../broker/http/consent/consent-result.ts';
import { deleteNothing, explainScopes } from '../../broker/http/consent/permissions.ts';

const facts = {
  tenant: 'acme',
  missingScopes: ['https://www.googleapis.com/auth/youtube.upload'],
  youtubeTitle: 'My Cats',
  pinnedTitle: 'North Studio',
};

test('each failure has a message of its own', () => {
  const titles = consentFailures.map((failure) => messageForFailure(failure, facts).title);
  assert.ok(titles.length > 15);
  assert.equal(new Set(titles).size, titles.length);
});

for (const failure of consentFailures) {
  test(`an owner understands "${failure}": no jargon, and something to do`, () => {
    for (const known of [facts, {}]) {
      const { title, happened, todo } = messageForFailure(failure, known);
      const text = [title, happened, ...todo].join(' ');
      assert.doesNotMatch(text, /OAuth|token|scope|state\b|\bcode\b|issuer|Vault|undefined|_/);
      assert.ok(todo.length > 0);
      assert.match(happened, /[.]$/);
      for (const step of todo) assert.match(step, /^[A-Z].*[.]$/);
    }
  });
}

test('each error has a page, and none of them shows the code', () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    assert.doesNotMatch(messagePage(messageForError(code), 'r1'), new RegExp(code));
  }
});

test('the channel that was chosen and the one that is expected are both named', () => {
  const { happened } = messageForFailure('other_channel', facts);
  assert.match(happened, /“My Cats”.*“North Studio”/);
});

test('what people and Google write is shown as text, never as markup', () => {
  const page = messagePage(
    messageForFailure('other_channel', { ...facts, youtubeTitle: '<img src=x onerror=1>"\'&' }),
    'r1',
  );
  assert.ok(page.includes('&lt;img src=x onerror=1&gt;&quot;&#39;&amp;'));
  assert.doesNotMatch(page, /<img/);
});

test('a result survives its cookie, and a forged one is not a result', () => {
  const result = { requestId: 'r1', what: { kind: 'failed', tenant: 'acme', failure: 'denied', facts: {} } } as const;
  assert.deepEqual(readResult(writeResult(result)), result);
  for (const forged of ['', 'x', Buffer.from('{"requestId":"r","what":{"kind":"failed"}}').toString('base64url')]) {
    assert.equal(readResult(forged), undefined);
  }
  const unknown = { requestId: 'r1', what: { kind: 'failed', tenant: 'a', failure: 'toString', facts: {} } };
  assert.equal(readResult(Buffer.from(JSON.stringify(unknown)).toString('base64url')), undefined);
});

test('permissions are explained in words, the weightiest first, and unknown ones are shown as they are', () => {
  const upload = 'https://www.googleapis.com/auth/youtube.upload';
  assert.match(explainScopes(['openid', upload])[0] ?? '', /^upload videos/);
  assert.deepEqual(explainScopes(['https://example.com/odd']), ['use the permission https://example.com/odd']);
  assert.ok(deleteNothing([upload, 'openid', 'email']));
  assert.ok(!deleteNothing([upload, 'https://www.googleapis.com/auth/youtube']));
  assert.ok(!deleteNothing(['https://example.com/odd']));
});
