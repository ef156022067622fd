/** What a security event token says: both forms of subjects, every type, and what is none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refreshTokenHash, tokenNames } from '../../broker/domain/identifier.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { MalformedSecurityEvent, readSecurityEventToken } from '../../broker/domain/security-event.ts';

const issuer = 'https://accounts.google.com';
const risc = 'https://schemas.openid.net/secevent/risc/event-type/';
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type/';
const token = new Secret('1//0practice-refresh-token-of-the-owner');

function read(events: object, claims: object = {}) {
  return readSecurityEventToken({ jti: 'j-1', iat: 1_772_366_400, events, ...claims }, issuer);
}
function concernsOf(events: object, claims: object = {}) {
  return read(events, claims).events[0]?.concerns;
}

const account = { iss: `${issuer}/`, sub: '1010' };
const prove = { subject: { by: 'account', googleSubject: '1010' }, act: 'prove' };
const accounts: readonly (readonly [string, object, object])[] = [
  ['iss-sub', { subject: { subject_type: 'iss-sub', ...account } }, {}],
  ['iss_sub', { subject: { format: 'iss_sub', ...account } }, {}],
  ['id_token_claims', { subject: { subject_type: 'id_token_claims', ...account, email: 'owner@example.com' } }, {}],
  [
    'id-token-claims with the ID token’s issuer',
    { subject: { subject_type: 'id-token-claims', iss: issuer, sub: '1010' } },
    {},
  ],
  [
    'id_token_claims with the issuer without its scheme',
    { subject: { subject_type: 'id_token_claims', iss: 'accounts.google.com', sub: '1010' } },
    {},
  ],
  ['sub_id beside the events', {}, { sub_id: { format: 'iss_sub', ...account } }],
];
const hashed = {
  token_type: 'refresh_token',
  token_identifier_alg: 'hash_base64_sha512_sha512',
  token: refreshTokenHash(token),
};
const prefixed = { token_type: 'refresh_token', token_identifier_alg: 'prefix', token: token.reveal().slice(0, 16) };
const { refreshTokenPrefixHash } = tokenNames(token);

describe('a security event token', () => {
  for (const [form, details, claims] of accounts) {
    test(`names an account as ${form}`, () => {
      assert.deepEqual(concernsOf({ [`${oauth}tokens-revoked`]: details }, claims), prove);
    });
  }

  for (const kind of [{ subject_type: 'oauth_token' }, { format: 'oauth_token' }]) {
    test(`names a refresh token by its double hash, and ends it (${Object.keys(kind)})`, () => {
      const events = { [`${oauth}token-revoked`]: { subject: { ...kind, ...hashed } } };
      const subject = { by: 'token-hash', refreshTokenHash: refreshTokenHash(token) };
      assert.deepEqual(concernsOf(events), { subject, act: 'end' });
    });

    test(`names a refresh token by its first sixteen characters, which others may have: it is proven (${Object.keys(kind)})`, () => {
      const events = { [`${oauth}token-revoked`]: { subject: { ...kind, ...prefixed } } };
      assert.deepEqual(concernsOf(events), { subject: { by: 'token-prefix', refreshTokenPrefixHash }, act: 'prove' });
    });
  }

  test('keeps of a prefix no character', () => {
    assert.match(refreshTokenPrefixHash, /^[\w-]{43}$/);
  });

  test('may write the hash in base64url and without padding', () => {
    const url = Buffer.from(refreshTokenHash(token), 'base64').toString('base64url');
    const concerns = concernsOf({
      [`${oauth}token-revoked`]: { subject: { subject_type: 'oauth_token', ...hashed, token: url } },
    });
    assert.deepEqual(concerns?.subject, { by: 'token-hash', refreshTokenHash: refreshTokenHash(token) });
  });

  const types = [
    ['sessions-revoked', risc, 'prove'],
    ['tokens-revoked', oauth, 'prove'],
    ['account-disabled', risc, 'prove'],
    ['account-enabled', risc, 'prove'],
    ['account-credential-change-required', risc, 'note'],
  ] as const;
  for (const [type, base, act] of types) {
    test(`${type}: ${act}`, () => {
      const events = { [base + type]: { subject: { subject_type: 'iss-sub', ...account } } };
      assert.equal(concernsOf(events)?.act, act);
    });
  }

  test('carries why an account was disabled, and the text of a verification', () => {
    const disabled = {
      [`${risc}account-disabled`]: { subject: { subject_type: 'iss-sub', ...account }, reason: 'hijacking' },
    };
    assert.equal(read(disabled).events[0]?.reason, 'hijacking');
    const [verification] = read({ [`${risc}verification`]: { state: 'x'.repeat(1_000) } }).events;
    assert.deepEqual(
      [verification?.type, verification?.state?.length, verification?.concerns],
      ['verification', 256, undefined],
    );
  });

  test('may tell of a type that is not known, or of an access token: that concerns nobody here', () => {
    const unknown = { 'https://schemas.example.com/new-type': { subject: { subject_type: 'new' } } };
    assert.equal(concernsOf(unknown), undefined);
    const access = { subject_type: 'oauth_token', ...hashed, token_type: 'access_token' };
    assert.equal(concernsOf({ [`${oauth}token-revoked`]: { subject: access } }), undefined);
  });

  test('may hold several events', () => {
    const subject = { subject_type: 'iss-sub', ...account };
    const { events } = read({ [`${oauth}tokens-revoked`]: { subject }, [`${risc}sessions-revoked`]: { subject } });
    assert.deepEqual(
      events.map(({ type }) => type),
      ['tokens-revoked', 'sessions-revoked'],
    );
  });

  const events = { [`${risc}verification`]: {} };
  const typeUri = `${risc}sessions-revoked`;
  const malformed: readonly (readonly [string, object, object])[] = [
    ['no jti', events, { jti: undefined }],
    ['a jti that fills a page', events, { jti: 'x'.repeat(257) }],
    ['no iat', events, { iat: undefined }],
    ['an iat that is no time', events, { iat: '1772366400' }],
    ['no events', {}, {}],
    ['eleven events', Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`urn:${n}`, {}])), {}],
    ['an event that is a list', { [typeUri]: [] }, {}],
    ['no subject', { [typeUri]: {} }, {}],
    ['a subject of an unknown kind', { [typeUri]: { subject: { subject_type: 'phone', ...account } } }, {}],
    ['a subject without sub', { [typeUri]: { subject: { subject_type: 'iss-sub', iss: account.iss } } }, {}],
    [
      'a subject of another issuer',
      { [typeUri]: { subject: { subject_type: 'iss-sub', iss: 'https://evil.example', sub: '1' } } },
      {},
    ],
    ['a subject without issuer', { [typeUri]: { subject: { subject_type: 'iss-sub', sub: '1' } } }, {}],
    [
      'a token that is named in an unknown way',
      {
        [`${oauth}token-revoked`]: { subject: { subject_type: 'oauth_token', ...hashed, token_identifier_alg: 'crc' } },
      },
      {},
    ],
    [
      'a prefix of another length',
      { [`${oauth}token-revoked`]: { subject: { subject_type: 'oauth_token', ...prefixed, token: '1//0' } } },
      {},
    ],
  ];
  for (const [what, given, claims] of malformed) {
    test(`is refused with ${what}`, () => assert.throws(() => read(given, claims), MalformedSecurityEvent));
  }
});
