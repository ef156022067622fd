/** The login by a TLS client certificate, on a real Vault with TLS; and what is said where its TLS is not right. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { IdentityError, type IdentityProblem } from '../../sidecar/identity-error.ts';
import { workloadSpiffeId } from '../../vault-policies/layout.ts';
import { applySteps, planSteps } from '../../vault-policies/steps.ts';
import { loginSteps } from '../../vault-policies/workload-logins.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { CLIENT_AUTH, createAuthority, SERVER_AUTH, type TestCertificate } from '../support/certificates.ts';
import { useFolder } from '../support/scope.ts';
import { type IssuerWish, issuerFor } from '../support/svid-issuer.ts';
import { useOwnVault } from '../support/vault.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const scope = { after };
const folder = await useFolder(scope);
const [servers, machines, strangers] = [await createAuthority(), await createAuthority(), await createAuthority()];
const at = (name: string) => join(folder, name);
await writeFile(at('servers.pem'), servers.certificatePem);
await writeFile(at('machines.pem'), machines.certificatePem);
await save('server', await servers.issue({ subject: 'CN=localhost', extendedKeyUsage: [SERVER_AUTH] }));
const server = await useOwnVault(scope, { tls: { certificateFile: at('server.crt'), keyFile: at('server.key') } });
const vault = await useSetUpVault(scope, server);
const { operator, layout } = vault;
await applySteps(loginSteps(operator, layout, { method: 'cert' }));
const proof = { method: 'cert', authorityPem: machines.certificatePem.trim() } as const;
await addWorkload(operator, layout, 'uploads', { proof });
await addWorkload(operator, layout, 'others', { proof });

const own = workloadSpiffeId(layout.trustDomain, 'uploads');
const is = (code: IdentityProblem) => (error: unknown) => error instanceof IdentityError && error.code === code;

async function save(name: string, { certificatePem, privateKeyPem }: TestCertificate): Promise<void> {
  await writeFile(at(`${name}.crt`), certificatePem);
  await writeFile(at(`${name}.key`), privateKeyPem);
}

const client = (name: string, authority = machines, notAfter?: Date) =>
  authority.issue({ subject: `CN=${name}`, extendedKeyUsage: [CLIENT_AUTH], ...(notAfter && { notAfter }) });

function issuer(wish: Partial<IssuerWish> & { readonly role?: string; readonly keyFile?: string } = {}) {
  return issuerFor(vault, {
    login: {
      method: 'cert',
      mount: layout.logins.cert,
      role: wish.role ?? 'uploads',
      certificateFile: at('client.crt'),
      keyFile: wish.keyFile ?? at('client.key'),
    },
    spiffeId: own,
    pkiRole: 'workload-cert',
    ...wish,
    vault: { address: new URL(server.tlsAddress ?? ''), caFile: at('servers.pem'), ...wish.vault },
  });
}

test('a machine’s certificate makes it the workload of its common name, and no other', async () => {
  await save('client', await client('uploads'));
  assert.equal((await issuer()()).spiffeId.uri, own);
  for (const name of ['others', 'uploads-2']) {
    const steal = issuer({ spiffeId: workloadSpiffeId(layout.trustDomain, name) });
    await assert.rejects(steal(), is('SIGNING_REFUSED'));
  }
  await assert.rejects(issuer({ role: 'others' })(), is('CREDENTIAL_REJECTED'));
});

test('the pair of files is read anew at each login', async () => {
  await save('client', await client('uploads'));
  const issue = issuer();
  await issue();
  await save('client', await client('uploads', strangers));
  await assert.rejects(issue(), is('CREDENTIAL_REJECTED'));
  await save('client', await client('uploads'));
  await issue();
});

const wrong: readonly [why: string, code: IdentityProblem, certificate: () => Promise<TestCertificate>][] = [
  ['its certificate is of another authority', 'CREDENTIAL_REJECTED', () => client('uploads', strangers)],
  ['its certificate has another common name', 'CREDENTIAL_REJECTED', () => client('nobody')],
  ['the common name is a pattern', 'CREDENTIAL_REJECTED', () => client('*')],
  ['its certificate has ended', 'CREDENTIAL_EXPIRED', () => client('uploads', machines, new Date(Date.now() - 1_000))],
];

for (const [why, code, certificate] of wrong)
  test(`says ${code} when ${why}`, async () => {
    await save('client', await certificate());
    await assert.rejects(issuer()(), is(code));
  });

test('says CREDENTIAL_UNREADABLE while certificate and key do not belong together, and when one is missing', async () => {
  await save('client', await client('uploads'));
  await save('other', await client('uploads'));
  await assert.rejects(issuer({ keyFile: at('other.key') })(), is('CREDENTIAL_UNREADABLE'));
  await assert.rejects(issuer({ keyFile: at('nowhere.key') })(), is('CREDENTIAL_UNREADABLE'));
  await assert.rejects(issuer({ keyFile: at('client.crt') })(), is('CREDENTIAL_UNREADABLE'));
  await assert.rejects(issuer({ vault: { caFile: at('client.key') } })(), is('CREDENTIAL_UNREADABLE'));
});

test('says VAULT_NOT_TRUSTED where Vault’s certificate is of another authority, has another name, or there is no TLS', async () => {
  await save('client', await client('uploads'));
  await assert.rejects(issuer({ vault: { caFile: at('machines.pem') } })(), is('VAULT_NOT_TRUSTED'));
  const { port } = new URL(server.tlsAddress ?? '');
  const otherName = { address: new URL(`https://127.0.0.1:${port}`) };
  await assert.rejects(issuer({ vault: otherName })(), is('VAULT_NOT_TRUSTED'));
  const plain = { address: new URL(server.address.replace('http:', 'https:')) };
  await assert.rejects(issuer({ vault: plain })(), is('VAULT_NOT_TRUSTED'));
});

test('says ANSWER_NOT_UNDERSTOOD where plain HTTP is spoken to the port of TLS', async () => {
  const plain = { address: new URL((server.tlsAddress ?? '').replace('https:', 'http:')) };
  await assert.rejects(issuer({ vault: plain })(), is('ANSWER_NOT_UNDERSTOOD'));
});

test('what the login is, is as it should be when it is looked at again', async () => {
  const plan = await planSteps(loginSteps(operator, layout, { method: 'cert' }));
  assert.deepEqual([...new Set(plan.map(({ action }) => action))], ['ok']);
  assert.equal((await addWorkload(operator, layout, 'uploads', { proof })).action, 'ok');
});
