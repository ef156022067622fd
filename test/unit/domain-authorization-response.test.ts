import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthorizationResponse } from '../../broker/domain/authorization-response.ts';

const issuer = 'https://accounts.google.com';

function kindOf(query: string): string {
  return parseAuthorizationResponse([...new URLSearchParams(query)], issuer).kind;
}

const rows: readonly (readonly [string, string, string])[] = [
  ['a code and a state', 'state=s&code=c', 'code'],
  ['the right issuer', `state=s&code=c&iss=${encodeURIComponent(issuer)}`, 'code'],
  ['what Google adds', 'state=s&code=c&scope=x&authuser=0&prompt=consent&hd=example.com&new=1', 'code'],
  ['an error', 'state=s&error=access_denied', 'error'],
  ['an error with the right issuer', `state=s&error=access_denied&iss=${encodeURIComponent(issuer)}`, 'error'],
  ['another issuer', 'state=s&code=c&iss=https%3A%2F%2Fevil.example', 'wrong_issuer'],
  ['the issuer with a slash more', `state=s&code=c&iss=${encodeURIComponent(`${issuer}/`)}`, 'wrong_issuer'],
  ['an empty issuer', 'state=s&code=c&iss=', 'wrong_issuer'],
  ['the issuer twice', `state=s&code=c&iss=${issuer}&iss=${issuer}`, 'wrong_issuer'],
  ['an error of another issuer', 'state=s&error=access_denied&iss=https%3A%2F%2Fevil.example', 'wrong_issuer'],
  ['two codes', 'state=s&code=c&code=d', 'malformed_response'],
  ['a code and an error', 'state=s&code=c&error=access_denied', 'malformed_response'],
  ['neither code nor error', 'state=s', 'malformed_response'],
  ['an empty code', 'state=s&code=', 'malformed_response'],
  ['a giant code', `state=s&code=${'c'.repeat(5000)}`, 'malformed_response'],
  ['no state', 'code=c', 'unrecognisable'],
  ['two states', 'state=s&state=t&code=c', 'unrecognisable'],
  ['a giant state', `state=${'s'.repeat(500)}&code=c`, 'unrecognisable'],
];

for (const [what, query, kind] of rows) {
  test(`a callback with ${what} is ${kind}`, () => assert.equal(kindOf(query), kind));
}
