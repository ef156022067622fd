import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPeerIdentity } from '../../identity/peer-identity.ts';
import { createKeyAndCsr, readSvid, SvidError, type SvidProblem, verifySvid } from '../../identity/svid.ts';
import {
  type CertificateWish,
  CLIENT_AUTH,
  createAuthority,
  KeyUsageFlags,
  SERVER_AUTH,
} from '../support/certificates.ts';

const URI = 'spiffe://example.org/worker/uploads';
const NOW = new Date('2026-06-01T12:00:00Z');
const FROM = new Date('2026-06-01T11:00:00Z');
const UNTIL = new Date('2026-06-01T13:00:00Z');
const YEARS = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2030-01-01T00:00:00Z') };

const good: CertificateWish = { uris: [URI], notBefore: FROM, notAfter: UNTIL };
const root = await createAuthority(YEARS);

function breaks(problem: SvidProblem) {
  return (error: unknown) => error instanceof SvidError && error.problem === problem;
}

test('verifies an SVID against the trust bundle and says whom it names and how long', async () => {
  const leaf = await root.issue(good);
  const svid = verifySvid({
    certificatePem: leaf.certificatePem,
    chainPem: [],
    bundlePem: [root.certificatePem],
    now: NOW,
  });
  assert.equal(svid.spiffeId.uri, URI);
  assert.match(svid.serial, /^7[0-9a-f](:[0-9a-f]{2}){7}$/);
  assert.deepEqual([svid.notBefore, svid.notAfter], [FROM, UNTIL]);
});

test('reads the same identity from the certificate of a peer', async () => {
  const leaf = await root.issue(good);
  const peer = readPeerIdentity(leaf.raw);
  assert.deepEqual(peer, {
    spiffeId: { uri: URI, trustDomain: 'example.org', path: '/worker/uploads' },
    serial: readSvid(leaf.certificatePem).serial,
    notBefore: FROM.getTime(),
    notAfter: UNTIL.getTime(),
  });
});

const malformed: readonly [why: string, change: CertificateWish, problem: SvidProblem][] = [
  ['without any name of the type URI', { uris: [] }, 'NOT_ONE_URI'],
  ['with two SPIFFE IDs', { uris: [URI, 'spiffe://example.org/broker'] }, 'NOT_ONE_URI'],
  ['with a SPIFFE ID and another URI', { uris: [URI, 'https://example.org/'] }, 'NOT_ONE_URI'],
  ['with the same SPIFFE ID twice', { uris: [URI, URI] }, 'NOT_ONE_URI'],
  ['whose URI is no SPIFFE ID', { uris: ['https://example.org/worker'] }, 'NOT_A_SPIFFE_ID'],
  ['that names the whole trust domain', { uris: ['spiffe://example.org'] }, 'NOT_A_SPIFFE_ID'],
  [
    'whose URI hides a second name behind a comma',
    { uris: [`${URI}, URI:spiffe://example.org/broker`] },
    'NOT_A_SPIFFE_ID',
  ],
  ['that is an authority', { isAuthority: true }, 'IS_AN_AUTHORITY'],
  ['without key usage', { keyUsage: 'missing' }, 'WRONG_KEY_USAGE'],
  [
    'whose key usage is not critical',
    { keyUsage: { flags: KeyUsageFlags.digitalSignature, critical: false } },
    'WRONG_KEY_USAGE',
  ],
  ['that may not sign', { keyUsage: { flags: KeyUsageFlags.keyEncipherment, critical: true } }, 'WRONG_KEY_USAGE'],
  [
    'that may sign certificates',
    { keyUsage: { flags: KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign, critical: true } },
    'WRONG_KEY_USAGE',
  ],
  [
    'that may sign revocation lists',
    { keyUsage: { flags: KeyUsageFlags.digitalSignature | KeyUsageFlags.cRLSign, critical: true } },
    'WRONG_KEY_USAGE',
  ],
  ['for servers only', { extendedKeyUsage: [SERVER_AUTH] }, 'WRONG_EXTENDED_KEY_USAGE'],
  ['for clients only', { extendedKeyUsage: [CLIENT_AUTH] }, 'WRONG_EXTENDED_KEY_USAGE'],
  ['with an empty subject and names that are not critical', { namesAreCritical: false }, 'NAMES_NOT_CRITICAL'],
];

for (const [why, change, problem] of malformed)
  test(`refuses an SVID ${why}`, async () => {
    const leaf = await root.issue({ ...good, ...change });
    assert.throws(() => readSvid(leaf.certificatePem), breaks(problem));
    assert.throws(() => readPeerIdentity(leaf.raw), breaks(problem));
  });

test('accepts an SVID without extended key usage', async () => {
  const leaf = await root.issue({ ...good, extendedKeyUsage: 'missing' });
  assert.equal(readSvid(leaf.certificatePem).spiffeId.uri, URI);
});

test('refuses what is not a certificate', () => {
  assert.throws(() => readSvid(Buffer.from('not a certificate')), breaks('UNREADABLE'));
});

const dates: readonly [why: string, now: Date, problem: SvidProblem][] = [
  ['a millisecond before it begins', new Date(FROM.getTime() - 1), 'NOT_YET_VALID'],
  ['at its end', UNTIL, 'EXPIRED'],
  ['a year later', new Date('2027-06-01T12:00:00Z'), 'EXPIRED'],
];

for (const [why, now, problem] of dates)
  test(`refuses an SVID ${why}`, async () => {
    const { certificatePem } = await root.issue(good);
    assert.throws(
      () => verifySvid({ certificatePem, chainPem: [], bundlePem: [root.certificatePem], now }),
      breaks(problem),
    );
  });

test('follows the chain over an intermediate authority, and takes one in the bundle for an anchor', async () => {
  const intermediate = await root.issue({
    ...YEARS,
    subject: 'CN=Test intermediate',
    isAuthority: true,
    extendedKeyUsage: 'missing',
  });
  const { certificatePem } = await intermediate.issue(good);
  const verify = (chainPem: string[], bundlePem: string[]) =>
    verifySvid({ certificatePem, chainPem, bundlePem, now: NOW });
  assert.equal(verify([intermediate.certificatePem], [root.certificatePem]).spiffeId.uri, URI);
  assert.equal(verify([], [intermediate.certificatePem]).spiffeId.uri, URI);
  assert.throws(() => verify([], [root.certificatePem]), breaks('UNTRUSTED'));
  assert.throws(() => verify([intermediate.certificatePem, root.certificatePem], []), breaks('UNTRUSTED'));
});

test('refuses an SVID of an authority with the same name and another key', async () => {
  const impostor = await createAuthority(YEARS);
  const { certificatePem } = await impostor.issue(good);
  assert.throws(
    () =>
      verifySvid({ certificatePem, chainPem: [impostor.certificatePem], bundlePem: [root.certificatePem], now: NOW }),
    breaks('UNTRUSTED'),
  );
});

test('refuses an SVID that another SVID has issued', async () => {
  const worker = await root.issue({ ...good, subject: 'CN=worker' });
  const { certificatePem } = await worker.issue({ ...good, uris: ['spiffe://example.org/broker'] });
  assert.throws(
    () => verifySvid({ certificatePem, chainPem: [worker.certificatePem], bundlePem: [root.certificatePem], now: NOW }),
    breaks('UNTRUSTED'),
  );
});

test('refuses an SVID whose authority has expired', async () => {
  const expired = await createAuthority({ ...YEARS, notAfter: FROM });
  const { certificatePem } = await expired.issue(good);
  assert.throws(
    () => verifySvid({ certificatePem, chainPem: [], bundlePem: [expired.certificatePem], now: NOW }),
    breaks('UNTRUSTED'),
  );
});

test('makes another key and another request each time', async () => {
  const [first, second] = await Promise.all([createKeyAndCsr(), createKeyAndCsr()]);
  assert.match(first.privateKeyPem, /^-----BEGIN PRIVATE KEY-----/);
  assert.match(first.csrPem, /^-----BEGIN CERTIFICATE REQUEST-----/);
  assert.notEqual(first.privateKeyPem, second.privateKeyPem);
  assert.notEqual(first.csrPem, second.csrPem);
});
