import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseVerdict } from '../../broker/domain/release.ts';
import { isTooWide, nextEnd, permissionOf, usableScopes } from '../../broker/domain/workload-rule.ts';

const now = new Date('2026-03-01T12:00:00Z');
const soon = new Date('2026-03-01T12:00:01Z');
const later = new Date('2026-03-02T12:00:00Z');
const granted = [
  'https://www.googleapis.com/auth/youtube.upload',
  'openid',
  'https://www.googleapis.com/auth/userinfo.email',
];
const upload = granted.slice(0, 1);

test('no rule permits nothing, and one that has ended is no rule', () => {
  assert.equal(permissionOf([], now), undefined);
  assert.equal(permissionOf([{ expiresAt: now }], now), undefined);
  assert.deepEqual(permissionOf([{ expiresAt: soon }], now), { scopes: undefined, acceptsWiderToken: false });
});

test('two rules permit what either permits', () => {
  const both = permissionOf([{ scopes: upload }, { scopes: ['openid'] }], now);
  assert.deepEqual(both?.scopes, [...upload, 'openid']);
  assert.equal(permissionOf([{ scopes: upload }, {}], now)?.scopes, undefined);
  assert.deepEqual(permissionOf([{ scopes: upload }, { expiresAt: now }], now)?.scopes, upload);
  assert.equal(
    permissionOf([{ scopes: upload, acceptsWiderToken: true }, { scopes: upload }], now)?.acceptsWiderToken,
    true,
  );
});

test('a grant with more than the rule is too wide, unless that was agreed to; short and long names are the same', () => {
  const bound = { scopes: upload, acceptsWiderToken: false };
  assert.equal(isTooWide(granted, bound), true);
  assert.equal(isTooWide(granted, { ...bound, acceptsWiderToken: true }), false);
  assert.equal(isTooWide(upload, bound), false);
  assert.equal(isTooWide(granted, { scopes: [...upload, 'openid', 'email'], acceptsWiderToken: false }), false);
  assert.equal(isTooWide(granted, { scopes: undefined, acceptsWiderToken: false }), false);
});

test('what may be asked for was granted and is in the rule', () => {
  const permission = {
    scopes: [...upload, 'email', 'https://www.googleapis.com/auth/youtube'],
    acceptsWiderToken: true,
  };
  assert.deepEqual(usableScopes(granted, permission), [granted[0], granted[2]]);
  assert.deepEqual(usableScopes(granted, { scopes: undefined, acceptsWiderToken: false }), granted);
});

test('the verdict of a channel: first whether a rule is there, then the channel, then whether the token is too wide', () => {
  const active = { state: 'active', grantedScopes: granted } as const;
  const bound = { scopes: upload, acceptsWiderToken: false };
  assert.equal(releaseVerdict(undefined, bound), 'ACCESS_DENIED');
  assert.equal(releaseVerdict(active, undefined), 'ACCESS_DENIED');
  assert.equal(releaseVerdict({ ...active, state: 'suspended' }, bound), 'CHANNEL_SUSPENDED');
  assert.equal(releaseVerdict({ ...active, grantedScopes: undefined }, bound), 'CONSENT_PENDING');
  assert.equal(releaseVerdict(active, bound), 'TOKEN_TOO_WIDE');
  assert.equal(releaseVerdict(active, { ...bound, acceptsWiderToken: true }), undefined);
});

test('the next end is the first that is still to come', () => {
  assert.deepEqual(nextEnd([{}, { expiresAt: later }, { expiresAt: now }, { expiresAt: soon }], now), soon);
  assert.equal(nextEnd([{}, { expiresAt: now }], now), undefined);
});
