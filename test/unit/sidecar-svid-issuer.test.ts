/** What the sidecar takes for its new certificate: nothing but what it asked for. Real answers are in test/contract. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSpiffeId } from '../../identity/spiffe-id.ts';
import { IdentityError } from '../../sidecar/identity-error.ts';
import { createSvidIssuer } from '../../sidecar/svid-issuer.ts';
import { type CertificateWish, createAuthority, goodSvid } from '../support/certificates.ts';

const own = 'spiffe://media.example/workload/uploads';
const trusted = await createAuthority();
const stranger = await createAuthority();
const hours = (count: number) => new Date(Date.now() + count * 3_600_000);

/** What an issuer says to a Vault that signs this certificate, over a key of its own. */
async function refusalOf(wish: CertificateWish, authority = trusted): Promise<IdentityError> {
  const certificate = (await authority.issue(wish)).certificatePem;
  const answers: readonly [path: RegExp, data: object][] = [
    [/\/sign\//, { certificate, ca_chain: [] }],
    [/issuers/, { keys: ['one'] }],
    [/issuer\/one/, { certificate: trusted.certificatePem }],
  ];
  const ended: string[] = [];
  const issue = createSvidIssuer({
    vault: async ({ path }) => {
      const [, data] = answers.find(([pattern]) => pattern.test(path)) ?? [];
      return { status: 200, text: JSON.stringify({ data }) };
    },
    login: async () => ({ token: 'token', end: async () => void ended.push('token') }),
    pkiMount: 'pki',
    pkiRole: 'workload',
    spiffeId: parseSpiffeId(own),
    now: Date.now,
  });
  const error = await issue().catch((caught: unknown) => caught);
  assert.ok(error instanceof IdentityError);
  assert.deepEqual(ended, ['token']);
  return error;
}

const refused: readonly [why: string, code: string, wish: CertificateWish, reason: RegExp][] = [
  ['for another key', 'SVID_REFUSED', goodSvid(own), /another key/],
  ['for another name', 'SVID_REFUSED', goodSvid(`${own}-2`), /another spiffe id/],
  ['with two names', 'SVID_REFUSED', { uris: [own, `${own}-2`] }, /no valid svid/],
  ['without a name', 'SVID_REFUSED', { uris: [] }, /no valid svid/],
  ['that is an authority', 'SVID_REFUSED', { uris: [own], isAuthority: true }, /no valid svid/],
  ['that has ended', 'CLOCK_WRONG', { uris: [own], notBefore: hours(-2), notAfter: hours(-1) }, /out of date/],
  ['that is not in force yet', 'CLOCK_WRONG', { uris: [own], notBefore: hours(1), notAfter: hours(2) }, /out of date/],
];

for (const [why, code, wish, reason] of refused)
  test(`does not take a certificate ${why}`, async () => {
    const error = await refusalOf(wish);
    assert.equal(error.code, code);
    assert.match(error.message, reason);
  });

test('does not take a certificate of another authority', async () => {
  assert.equal((await refusalOf(goodSvid(own), stranger)).code, 'SVID_REFUSED');
});
