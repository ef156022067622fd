import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataKeyContext, grantContext } from '../../broker/vault/encryption-context.ts';

const decoded = (context: string) => Buffer.from(context, 'base64').toString();

test('the bytes that ciphertexts in the field depend on stay as they are', () => {
  const context = grantContext({ tenant: 'acme', channel: '0190-é', generation: 3 });
  assert.equal(decoded(context), '["grant","acme","0190-é",3]');
  assert.equal(decoded(dataKeyContext('acme')), '["data-key","acme"]');
});

test('no two places share a context, whatever their names contain', () => {
  const contexts = [
    grantContext({ tenant: 'a', channel: 'b', generation: 1 }),
    grantContext({ tenant: 'a', channel: 'b', generation: 11 }),
    grantContext({ tenant: 'a","b', channel: '', generation: 1 }),
    grantContext({ tenant: 'a', channel: 'b",1', generation: 1 }),
    grantContext({ tenant: 'ab', channel: '', generation: 1 }),
    grantContext({ tenant: '', channel: 'ab', generation: 1 }),
    dataKeyContext('a'),
    dataKeyContext('a","b'),
  ];
  assert.equal(new Set(contexts).size, contexts.length);
});

test('a generation that is no whole number is refused', () => {
  for (const generation of [1.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => grantContext({ tenant: 'a', channel: 'b', generation }), RangeError);
  }
});
