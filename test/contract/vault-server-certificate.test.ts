import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createKeyAndCsr, verifySvid } from '../../identity/svid.ts';
import { brokerSpiffeId } from '../../vault-policies/layout.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const uriSan = brokerSpiffeId('media.example');
const vault = await useSetUpVault({ after });
const authority = createCertificateAuthority({ vault: await vault.asBroker(), pki: vault.layout.mounts.pki });

test("the broker's certificate is an SVID that leads to the trust bundle", async () => {
  const { csrPem } = await createKeyAndCsr();
  const signed = await authority.signCertificate({ role: 'broker', csrPem, uriSan });
  const bundlePem = await authority.trustBundle();
  const svid = verifySvid({ ...signed, bundlePem, now: new Date() });
  assert.equal(svid.spiffeId.uri, uriSan);
  assert.equal(svid.serial, signed.serial);
  assert.equal(svid.notAfter.getTime(), signed.expiresAt.getTime());
  assert.deepEqual(signed.chainPem, []);
  const hour = 3_600_000;
  assert.ok(svid.notAfter.getTime() - svid.notBefore.getTime() <= hour + 30_000);
});

test('a shorter life can be asked for, a longer one is not given', async () => {
  const { csrPem } = await createKeyAndCsr();
  const short = await authority.signCertificate({ role: 'broker', csrPem, uriSan, ttl: 120 });
  const long = await authority.signCertificate({ role: 'broker', csrPem, uriSan, ttl: 86_400 });
  assert.ok(short.expiresAt.getTime() < long.expiresAt.getTime());
  const { validFromDate, validToDate } = new X509Certificate(long.certificatePem);
  assert.ok(validToDate.getTime() - validFromDate.getTime() <= 3_600_000 + 30_000);
});

test('another SPIFFE ID than its own is refused to the broker', async () => {
  const { csrPem } = await createKeyAndCsr();
  for (const uri of ['spiffe://media.example/workload/uploader-1', 'spiffe://other.example/broker']) {
    const request = { role: 'broker', csrPem, uriSan: uri };
    await assert.rejects(authority.signCertificate(request), { code: 'VAULT_FORBIDDEN' });
  }
});

test('a second issuer joins the trust bundle, so that a change of the root breaks nobody', async () => {
  const own = await useSetUpVault({ after });
  const { pki } = own.layout.mounts;
  const certificates = createCertificateAuthority({ vault: await own.asBroker(), pki });
  const first = await certificates.trustBundle();
  await own.operator.write(`${pki}/root/generate/internal`, { common_name: 'second', key_type: 'ec', key_bits: 256 });
  const both = await certificates.trustBundle();
  assert.equal(both.length, 2);
  assert.ok(first.every((pem) => both.includes(pem)));
});
