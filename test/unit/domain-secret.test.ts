import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from '../../broker/domain/secret.ts';

const canary = 'canary-1//0g-refresh-token';

test('a secret shows itself nowhere but where it is revealed', () => {
  const secret = new Secret(canary);
  const shown = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret, { depth: 9, showHidden: true, getters: true }),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    format('%s %o %O %j', secret, secret, secret, secret),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify({ ...secret }),
    String(new Error('failed', { cause: secret }).cause),
  ];
  for (const text of shown) assert.ok(!text.includes('canary'), text);
  assert.equal(secret.reveal(), canary);
});

test('a structured clone of a secret does not carry the value', () => {
  assert.ok(!JSON.stringify(structuredClone({ secret: new Secret(canary) })).includes('canary'));
});
