import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createKeyAndCsr, readSvid, verifySvid } from '../../identity/svid.ts';
import { issueCredential } from '../../vault-policies/credentials.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { connect, useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { transit, kv, pki, approle } = vault.layout.mounts;
await addWorkload(vault.operator, vault.layout, 'uploader-1');
await addWorkload(vault.operator, vault.layout, 'uploader-2');
const workload = await vault.asWorkload('uploader-1');
const authority = createCertificateAuthority({ vault: workload, pki });
const own = workloadSpiffeId('media.example', 'uploader-1');
const { csrPem } = await createKeyAndCsr();

test('a workload gets a certificate for its own SPIFFE ID', async () => {
  const signed = await authority.signCertificate({ role: 'workload', csrPem, uriSan: own });
  const bundlePem = await authority.trustBundle();
  assert.equal(verifySvid({ ...signed, bundlePem, now: new Date() }).spiffeId.uri, own);
});

for (const uri of [
  workloadSpiffeId('media.example', 'uploader-2'),
  workloadSpiffeId('media.example', 'uploader-11'),
  workloadSpiffeId('media.example', '*'),
  'spiffe://media.example/workload/uploader-1/child',
  'spiffe://media.example/workload/',
  'spiffe://media.example/broker',
  'spiffe://other.example/workload/uploader-1',
  `${own},${workloadSpiffeId('media.example', 'uploader-2')}`,
]) {
  test(`a workload gets no certificate for ${uri}`, async () => {
    const request = { role: 'workload', csrPem, uriSan: uri };
    await assert.rejects(authority.signCertificate(request), { code: 'VAULT_FORBIDDEN' });
  });
}

for (const [what, names] of Object.entries({
  'a common name': { common_name: 'uploader-1' },
  'a DNS name': { alt_names: 'media.example' },
  'an address': { ip_sans: '127.0.0.1' },
  'another kind of name': { other_sans: '1.3.6.1.4.1.311.20.2.3;utf8:uploader@media.example' },
})) {
  test(`a workload gets no certificate with ${what}`, async () => {
    const body = { csr: csrPem, uri_sans: own, ...names };
    await assert.rejects(workload.write(`${pki}/sign/workload`, body), { code: 'INTERNAL', detail: /^400/ });
  });
}

test('names inside the request for signing count for nothing', async () => {
  const { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const other = workloadSpiffeId('media.example', 'uploader-2');
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=broker',
    keys,
    signingAlgorithm: algorithm,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: other }])],
  });
  const signed = await authority.signCertificate({ role: 'workload', csrPem: request.toString('pem'), uriSan: own });
  assert.equal(readSvid(signed.certificatePem).spiffeId.uri, own);
});

test('what is written into a secret id does not change who the workload is', async (t) => {
  const { roleId } = await issueCredential(vault.operator, vault.layout, 'uploader-1');
  const forged = await vault.operator.write(
    `auth/${approle}/role/uploader-1/secret-id`,
    { metadata: JSON.stringify({ role_name: 'uploader-2' }) },
    z.object({ secret_id: z.string() }),
  );
  const forger = connect(t, {
    address: vault.address,
    login: async (send) => {
      const body = { role_id: roleId, secret_id: forged.secret_id };
      const answer = z
        .object({ auth: z.object({ client_token: z.string() }) })
        .parse(await send({ method: 'POST', path: `auth/${approle}/login`, body }));
      return { token: new Secret(answer.auth.client_token), seconds: 0, renewable: false, ours: false };
    },
  });
  const signing = createCertificateAuthority({ vault: forger, pki });
  const uriSan = workloadSpiffeId('media.example', 'uploader-2');
  await assert.rejects(signing.signCertificate({ role: 'workload', csrPem, uriSan }), { code: 'VAULT_FORBIDDEN' });
  await signing.signCertificate({ role: 'workload', csrPem, uriSan: own });
});

test('a workload can do nothing more', async (t) => {
  const read = (path: string) => () => workload.read(path, z.unknown());
  const write =
    (path: string, body = {}) =>
    () =>
      workload.write(path, body);
  const refused: Record<string, () => Promise<unknown>> = {
    'sign as the broker': write(`${pki}/sign/broker`, { csr: csrPem, uri_sans: 'spiffe://media.example/broker' }),
    'have Vault make a key and certificate': write(`${pki}/issue/workload`, { uri_sans: own }),
    'sign verbatim': write(`${pki}/sign-verbatim/workload`, { csr: csrPem }),
    decrypt: write(`${transit}/decrypt/tenant-acme`, { ciphertext: 'vault:v1:x' }),
    'sign a DPoP proof': write(`${transit}/sign/dpop-web`, { input: 'eA==' }),
    'read a client secret': read(`${kv}/data/web`),
    'look its token up': read('auth/token/lookup-self'),
    'renew its token': write('auth/token/renew-self'),
    'make tokens': write('auth/token/create'),
    'issue itself a secret id': write(`auth/${approle}/role/uploader-1/secret-id`),
    'get a person’s identity token': read(`identity/oidc/token/${vault.layout.identity.role}`),
  };
  for (const [act, attempt] of Object.entries(refused)) {
    await t.test(`cannot ${act}`, () => assert.rejects(attempt, { code: 'VAULT_FORBIDDEN' }));
  }
});

test('a workload is added once, with a plain name that is not the broker’s', async () => {
  const { operator, layout } = vault;
  assert.equal((await addWorkload(operator, layout, 'uploader-3')).action, 'create');
  assert.equal((await addWorkload(operator, layout, 'uploader-3')).action, 'ok');
  const moved = await addWorkload(operator, layout, 'uploader-3', { cidrs: ['10.1.0.0/16'] });
  assert.match(moved.reason, /cidrs/);
  for (const name of ['*', 'a*', 'a/b', 'Upper', '']) {
    await assert.rejects(addWorkload(operator, layout, name), { code: 'INVALID_REQUEST' });
  }
  await assert.rejects(addWorkload(operator, layout, 'token-broker'), { code: 'ALREADY_EXISTS' });
  await assert.rejects(issueCredential(operator, layout, 'unknown'), { code: 'NOT_FOUND' });
});

test('a workload that may log in from elsewhere only is refused here', async () => {
  await addWorkload(vault.operator, vault.layout, 'far-away', { cidrs: ['203.0.113.0/24'] });
  const there = await vault.asWorkload('far-away');
  await assert.rejects(there.check(), { code: 'VAULT_FORBIDDEN' });
});
