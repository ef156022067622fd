import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMemberOf, parseSpiffeId, parseTrustDomain, SpiffeIdError } from '../../identity/spiffe-id.ts';

const accepted: readonly [text: string, trustDomain: string, path: string][] = [
  ['spiffe://example.org/broker', 'example.org', '/broker'],
  ['spiffe://example.org/worker/eu-1/upload_7', 'example.org', '/worker/eu-1/upload_7'],
  ['spiffe://a/B.c..d', 'a', '/B.c..d'],
  ['spiffe://under_score-dash.org/...', 'under_score-dash.org', '/...'],
  [`spiffe://a/${'x'.repeat(2048 - 11)}`, 'a', `/${'x'.repeat(2048 - 11)}`],
];

for (const [text, trustDomain, path] of accepted)
  test(`reads ${text.slice(0, 60)} as a SPIFFE ID`, () => {
    assert.deepEqual(parseSpiffeId(text), { uri: text, trustDomain, path });
  });

const refused: readonly [text: string, why: string][] = [
  ['', 'nothing at all'],
  ['https://example.org/broker', 'another scheme'],
  ['SPIFFE://example.org/broker', 'a scheme in capitals'],
  ['spiffe:/example.org/broker', 'one slash'],
  ['spiffe:///broker', 'no trust domain'],
  ['spiffe://example.org', 'no path: the trust domain itself is no workload'],
  ['spiffe://example.org/', 'an empty path'],
  ['spiffe://example.org/broker/', 'a slash at the end'],
  ['spiffe://example.org//broker', 'an empty segment'],
  ['spiffe://example.org/a/../broker', 'a step up'],
  ['spiffe://example.org/./broker', 'a step in place'],
  ['spiffe://Example.org/broker', 'capitals in the trust domain'],
  ['spiffe://example.org:443/broker', 'a port'],
  ['spiffe://user@example.org/broker', 'a user part'],
  ['spiffe://example.org/broker?x=1', 'a query'],
  ['spiffe://example.org?x=1', 'a query in place of a path'],
  ['spiffe://example.org/broker#x', 'a fragment'],
  ['spiffe://example.org/brok%65r', 'percent encoding'],
  ['spiffe://example.org/bröker', 'a letter beyond ASCII'],
  ['spiffe://example.org/worker/*', 'a star'],
  [' spiffe://example.org/broker', 'a space before'],
  ['spiffe://example.org/broker\n', 'a line end after'],
  ['spiffe://example.org/bro\0ker', 'a zero byte'],
  [`spiffe://${'a'.repeat(256)}/x`, 'a trust domain of 256 characters'],
  [`spiffe://a/${'x'.repeat(2048 - 10)}`, '2,049 characters'],
];

for (const [text, why] of refused)
  test(`refuses a SPIFFE ID with ${why}`, () => {
    assert.throws(() => parseSpiffeId(text), SpiffeIdError);
  });

test('does not repeat a refused SPIFFE ID in the error', () => {
  assert.throws(
    () => parseSpiffeId('spiffe://example.org/evil\u001b[31m'),
    (error: Error) => !error.message.includes('evil'),
  );
});

test('takes a trust domain below or above for another one', () => {
  const id = parseSpiffeId('spiffe://prod.example.org/broker');
  assert.equal(isMemberOf(id, 'prod.example.org'), true);
  assert.equal(isMemberOf(id, 'example.org'), false);
  assert.equal(isMemberOf(id, 'eu.prod.example.org'), false);
});

test('refuses a trust domain that is written as a SPIFFE ID', () => {
  assert.equal(parseTrustDomain('example.org'), 'example.org');
  assert.throws(() => parseTrustDomain('spiffe://example.org'), SpiffeIdError);
});
