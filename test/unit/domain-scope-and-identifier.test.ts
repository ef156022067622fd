import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  hashSecret,
  isChannelId,
  namePattern,
  newId,
  newSecret,
  refreshTokenHash,
} from '../../broker/domain/identifier.ts';
import { missingScopes, parseScopes } from '../../broker/domain/scope.ts';
import { Secret } from '../../broker/domain/secret.ts';

test('granted scopes are compared as a set, whatever their order', () => {
  assert.deepEqual(missingScopes(['a', 'b'], parseScopes('b  a c b')), []);
  assert.deepEqual(missingScopes(['a', 'b', 'c'], parseScopes('b')), ['a', 'c']);
});

test('email counts as granted under the long name that Google answers', () => {
  assert.deepEqual(
    missingScopes(['openid', 'email'], ['openid', 'https://www.googleapis.com/auth/userinfo.email']),
    [],
  );
});

test('a scope that only begins like a granted one is missing', () => {
  const upload = 'https://www.googleapis.com/auth/youtube.upload';
  assert.deepEqual(missingScopes([upload], ['https://www.googleapis.com/auth/youtube']), [upload]);
});

test('ids hold 128 random bits in 26 characters, and keep them all', () => {
  assert.equal(
    newId('ch', () => Buffer.alloc(16, 0)),
    `ch_${'0'.repeat(26)}`,
  );
  assert.equal(
    newId('ch', () => Buffer.alloc(16, 0xff)),
    `ch_7${'z'.repeat(25)}`,
  );
  const ids = new Set(Array.from({ length: 1000 }, () => newId('co', randomBytes)));
  assert.equal(ids.size, 1000);
});

test('only what newId makes can be the id of a channel', () => {
  assert.ok(isChannelId(newId('ch', randomBytes)));
  for (const bad of [
    '',
    'ch_',
    newId('co', randomBytes),
    `ch_${'0'.repeat(25)}`,
    `ch_${'8'.repeat(26)}`,
    `ch_${'0'.repeat(25)}\0`,
  ]) {
    assert.ok(!isChannelId(bad), bad);
  }
});

test('link secrets are 256 random bits and only their hash is stored', () => {
  const secret = newSecret(() => Buffer.alloc(32, 7));
  assert.equal(secret.reveal().length, 43);
  assert.equal(hashSecret(secret), createHash('sha256').update(secret.reveal()).digest('base64url'));
});

test('a refresh token is indexed as Google names it in security events: base64 of SHA-512 twice', () => {
  const once = createHash('sha512').update('1//token').digest();
  assert.equal(refreshTokenHash(new Secret('1//token')), createHash('sha512').update(once).digest('base64'));
});

test('names that could leave their place in a Vault path are no names', () => {
  for (const good of ['a', 'acme', 'acme-2', 'a'.repeat(40)]) assert.match(good, namePattern);
  for (const bad of ['', 'A', '2a', 'a-', '-a', 'a/b', '../a', 'a b', 'a*', 'a\n', 'é', 'a'.repeat(41)]) {
    assert.doesNotMatch(bad, namePattern);
  }
});
