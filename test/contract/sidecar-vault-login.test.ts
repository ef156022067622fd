/** How the sidecar logs in, on a real Vault: each method, what it may have signed, and what is said where it fails. */
import assert from 'node:assert/strict';
import { copyFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import { tokenLogin } from '../../broker/vault/login.ts';
import { IdentityError, type IdentityProblem } from '../../sidecar/identity-error.ts';
import type { LoginConfig } from '../../sidecar/vault/login.ts';
import { applyBootstrap } from '../../vault-policies/bootstrap.ts';
import { issueCredential, issueWrappedCredential } from '../../vault-policies/credentials.ts';
import { serviceAccountSpiffeId, workloadSpiffeId } from '../../vault-policies/layout.ts';
import { applySteps } from '../../vault-policies/steps.ts';
import { loginSteps } from '../../vault-policies/workload-logins.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { type Scope, useFolder } from '../support/scope.ts';
import { createServiceAccounts, type ServiceAccountWish } from '../support/service-accounts.ts';
import type { LogLine } from '../support/sidecar.ts';
import { type IssuerWish, issuerFor } from '../support/svid-issuer.ts';
import { useVault } from '../support/vault.ts';
import { connect, credentialFiles, useSetUpVault } from '../support/vault-set-up.ts';

const server = await useVault({ after });
const { prefix } = server;
const rootToken = new Secret(server.rootToken);
const vault = await useSetUpVault({ after }, { ...server, prefix });
const { operator, layout } = vault;
const { trustDomain, mounts, logins } = layout;
const accounts = createServiceAccounts();
const { issuer, publicKeyPem } = accounts;
await applySteps(loginSteps(operator, layout, { method: 'jwt', keys: { pem: [publicKeyPem] }, issuer }));
const account = { namespace: 'media', serviceAccount: 'uploader', audience: 'vault' };
await addWorkload(operator, layout, 'uploads');
await addWorkload(operator, layout, 'others');
await addWorkload(operator, layout, 'uploads', { proof: { method: 'jwt', ...account } });

const uploads = workloadSpiffeId(trustDomain, 'uploads');
const uploader = serviceAccountSpiffeId(trustDomain, 'media', 'uploader');
const is = (code: IdentityProblem) => (error: unknown) => error instanceof IdentityError && error.code === code;

/** Writes a file of a credential. */
async function file(scope: Scope, content: string): Promise<string> {
  const path = join(await useFolder(scope), 'credential');
  await writeFile(path, content);
  return path;
}

async function appRole(scope: Scope, change: { readonly secretId?: string; readonly mount?: string } = {}) {
  const files = await credentialFiles(scope, operator, layout, 'uploads');
  if (change.secretId !== undefined) await writeFile(files.secretIdFile, change.secretId);
  return {
    method: 'approle',
    mount: change.mount ?? mounts.approle,
    roleIdFile: files.roleIdFile,
    secretId: { file: files.secretIdFile },
  } as const;
}

async function jwt(scope: Scope, wish: Partial<ServiceAccountWish> & { readonly role?: string } = {}) {
  const token = await accounts.token({ namespace: 'media', name: 'uploader', ...wish });
  const jwtFile = await file(scope, token);
  return { method: 'jwt', mount: logins.jwt, role: wish.role ?? 'uploads', jwtFile } as const;
}

/** A token as another program leaves it: of the workload, by its AppRole. */
async function tokenFile(scope: Scope): Promise<LoginConfig> {
  const { roleId, secretId } = await issueCredential(operator, layout, 'uploads');
  const response = await fetch(`${vault.address}/v1/auth/${mounts.approle}/login`, {
    method: 'POST',
    body: JSON.stringify({ role_id: roleId, secret_id: secretId.reveal() }),
  });
  const { auth } = z.object({ auth: z.object({ client_token: z.string() }) }).parse(await response.json());
  return { method: 'token', tokenFile: await file(scope, auth.client_token) };
}

async function wrapped(scope: Scope, keptIn?: string) {
  const { roleId, wrappingToken } = await issueWrappedCredential(operator, layout, 'uploads', 300);
  const roleIdFile = await file(scope, roleId);
  const wrappedFile = await file(scope, wrappingToken.reveal());
  return { method: 'approle', mount: mounts.approle, roleIdFile, secretId: { wrappedFile, keptIn } } as const;
}

async function keptWrapped(scope: Scope) {
  return wrapped(scope, join(await useFolder(scope), 'kept'));
}

const methods: readonly [name: string, login: (scope: Scope) => Promise<LoginConfig>, own: string, pkiRole: string][] =
  [
    ['approle', appRole, uploads, 'workload'],
    ['approle with a wrapped secret id', keptWrapped, uploads, 'workload'],
    ['jwt', jwt, uploader, 'workload-jwt'],
    ['a token file', tokenFile, uploads, 'workload'],
  ];

for (const [name, login, own, pkiRole] of methods)
  test(`by ${name}, a workload gets a certificate for its own SPIFFE ID, again and again, and for no other`, async (t) => {
    const config = await login(t);
    const issue = issuerFor(vault, { login: config, spiffeId: own, pkiRole });
    const [first, second] = [await issue(), await issue()];
    assert.equal(first.spiffeId.uri, own);
    assert.notEqual(first.serial, second.serial);
    assert.notEqual(first.privateKeyPem, second.privateKeyPem);
    const others = [
      workloadSpiffeId(trustDomain, 'others'),
      serviceAccountSpiffeId(trustDomain, 'media', 'other'),
      serviceAccountSpiffeId(trustDomain, 'other', 'uploader'),
      `${own}/child`,
      `spiffe://${trustDomain}/broker`,
      `spiffe://elsewhere.example/workload/uploads`,
    ];
    for (const spiffeId of others.filter((other) => other !== own)) {
      // The same login: only the name in the request is another.
      const steal = issuerFor(vault, { login: config, spiffeId, pkiRole });
      await assert.rejects(steal(), is('SIGNING_REFUSED'), spiffeId);
    }
  });

test('the PKI role of one login signs nothing for another', async (t) => {
  const byAppRole = issuerFor(vault, { login: await appRole(t), spiffeId: uploads, pkiRole: 'workload-jwt' });
  await assert.rejects(byAppRole(), is('SIGNING_FORBIDDEN'));
  const byJwt = issuerFor(vault, { login: await jwt(t), spiffeId: uploader, pkiRole: 'workload' });
  await assert.rejects(byJwt(), is('SIGNING_FORBIDDEN'));
});

type Change = Partial<Omit<IssuerWish, 'login'>> & { readonly login?: LoginConfig };

const refusals: readonly [why: string, code: IdentityProblem, change: (scope: Scope) => Promise<Change>][] = [
  ['its policy does not allow the PKI role', 'SIGNING_FORBIDDEN', async () => ({ pkiRole: 'broker' })],
  ['the PKI is mounted elsewhere', 'PATH_MISSING', async () => ({ pkiMount: 'nowhere' })],
  ['the login is mounted elsewhere', 'LOGIN_PATH_MISSING', async (s) => ({ login: await appRole(s, { mount: 'no' }) })],
  ['the secret id is wrong', 'CREDENTIAL_REJECTED', async (s) => ({ login: await appRole(s, { secretId: 'wrong' }) })],
  ['the secret id is empty', 'CREDENTIAL_UNREADABLE', async (s) => ({ login: await appRole(s, { secretId: '\n' }) })],
  ['there is no such role', 'LOGIN_ROLE_MISSING', async (s) => ({ login: await jwt(s, { role: 'nobody' }) })],
  [
    'the token is for another audience',
    'CREDENTIAL_REJECTED',
    async (s) => ({ login: await jwt(s, { audience: 'x' }) }),
  ],
  ['the token is of another account', 'CREDENTIAL_REJECTED', async (s) => ({ login: await jwt(s, { name: 'other' }) })],
  ['the token has ended', 'CREDENTIAL_EXPIRED', async (s) => ({ login: await jwt(s, { lifetime: -60 }) })],
  [
    'the token in the file is not alive',
    'SIGNING_FORBIDDEN',
    async (s) => ({ login: { method: 'token', tokenFile: await file(s, 'hvs.dead') } }),
  ],
  [
    'nobody listens at the address',
    'VAULT_UNREACHABLE',
    async () => ({ vault: { address: new URL('http://127.0.0.1:1') } }),
  ],
  [
    'https is spoken to a plain port',
    'VAULT_NOT_TRUSTED',
    async () => ({ vault: { address: overTls(vault.address) } }),
  ],
  ['the clock here is a day ahead', 'CLOCK_WRONG', async () => ({ now: () => Date.now() + 86_400_000 })],
  ['the clock here is a day behind', 'CLOCK_WRONG', async () => ({ now: () => Date.now() - 86_400_000 })],
];

function overTls(address: string): URL {
  return new URL(address.replace('http:', 'https:'));
}

for (const [why, code, change] of refusals)
  test(`says ${code} when ${why}`, async (t) => {
    const { login, ...wish } = await change(t);
    const issue = issuerFor(vault, { login: login ?? (await appRole(t)), spiffeId: uploads, ...wish });
    await assert.rejects(issue(), is(code));
  });

test('a role of the PKI that is missing is told from a name that it does not sign', async (t) => {
  const name = 'wide';
  const policy = `path "${mounts.pki}/sign/*" { capabilities = ["update"] }`;
  await operator.write(`sys/policies/acl/${layout.policies.broker}-${name}`, { policy });
  const token = await vault.tokenWithPolicy(`${layout.policies.broker}-${name}`);
  const login: LoginConfig = { method: 'token', tokenFile: await file(t, token.reveal()) };
  const issue = issuerFor(vault, { login, spiffeId: uploads, pkiRole: 'nobody' });
  await assert.rejects(issue(), is('SIGNING_ROLE_MISSING'));
  // A token without an entity: the template stays as it is, and allows nobody.
  await assert.rejects(issuerFor(vault, { login, spiffeId: uploads })(), is('SIGNING_REFUSED'));
});

test('a token that its login made is ended after its one use, where Vault keeps it', async (t) => {
  const role = `auth/${mounts.approle}/role/others`;
  await operator.write(role, { token_type: 'service', token_policies: [layout.policies.workload, 'default'] });
  const { roleIdFile, secretIdFile } = await credentialFiles(t, operator, layout, 'others');
  const login: LoginConfig = { method: 'approle', mount: mounts.approle, roleIdFile, secretId: { file: secretIdFile } };
  const accessors = async () => new Set(await operator.list('auth/token/accessors'));
  const before = await accessors();
  const spiffeId = workloadSpiffeId(trustDomain, 'others');
  await issuerFor(vault, { login, spiffeId })();
  await assert.rejects(issuerFor(vault, { login, spiffeId: uploads })(), is('SIGNING_REFUSED'));
  const left = await Promise.all(
    [...(await accessors()).difference(before)].map((accessor) =>
      operator
        .write('auth/token/lookup-accessor', { accessor }, z.object({ path: z.string() }))
        .catch(() => ({ path: 'gone' })),
    ),
  );
  assert.ok(!left.some(({ path }) => path === `auth/${mounts.approle}/login`));
});

test('a wrapped secret id that somebody else has opened is told from one that is wrong', async (t) => {
  const login = await wrapped(t);
  await issuerFor(vault, { login, spiffeId: uploads })();
  await assert.rejects(issuerFor(vault, { login, spiffeId: uploads })(), is('WRAPPING_TOKEN_USED'));
});

test('a wrapping token that was not made by issuing a secret id is not opened', async (t) => {
  const login = await wrapped(t);
  const planted = await operator.wrap('sys/wrapping/wrap', { secret_id: 'planted' }, 300);
  await writeFile(login.secretId.wrappedFile, planted.reveal());
  await assert.rejects(issuerFor(vault, { login, spiffeId: uploads })(), is('WRAPPING_TOKEN_FOREIGN'));
});

test('an opened secret id is kept for a restart where a file is named, readable for nobody else', async (t) => {
  const keptIn = join(await useFolder(t), 'kept');
  const login = await wrapped(t, keptIn);
  await issuerFor(vault, { login, spiffeId: uploads })();
  const { mode } = await stat(keptIn);
  assert.equal(mode & 0o777, 0o600);
  await issuerFor(vault, { login, spiffeId: uploads })();
});

test('a new wrapping token is opened at the next login; one that does not open is told, and the former secret id used', async (t) => {
  const lines: LogLine[] = [];
  const login = await wrapped(t);
  const issue = issuerFor(vault, { login, spiffeId: uploads, lines });
  await issue();
  const [next, spent] = [await wrapped(t), await wrapped(t)];
  await issuerFor(vault, { login: spent, spiffeId: uploads })();
  await copyFile(next.secretId.wrappedFile, login.secretId.wrappedFile);
  await issue();
  await assert.rejects(issuerFor(vault, { login: next, spiffeId: uploads })(), is('WRAPPING_TOKEN_USED'));
  assert.deepEqual(lines, []);
  await copyFile(spent.secretId.wrappedFile, login.secretId.wrappedFile);
  await issue();
  assert.deepEqual(
    lines.map(({ code }) => code),
    ['WRAPPING_TOKEN_USED'],
  );
});

test('a secret id for a few logins is warned of when it is opened', async (t) => {
  const name = 'once';
  await addWorkload(operator, layout, name);
  await operator.write(`auth/${mounts.approle}/role/${name}`, { secret_id_num_uses: 1 });
  const { roleId, wrappingToken } = await issueWrappedCredential(operator, layout, name, 300);
  const secretId = { wrappedFile: await file(t, wrappingToken.reveal()), keptIn: undefined };
  const lines: LogLine[] = [];
  const login: LoginConfig = { method: 'approle', mount: mounts.approle, roleIdFile: await file(t, roleId), secretId };
  const issue = issuerFor(vault, { login, spiffeId: workloadSpiffeId(trustDomain, name), lines });
  await issue();
  assert.deepEqual(
    lines.map(({ uses }) => uses),
    [1],
  );
  await assert.rejects(issue(), is('CREDENTIAL_REJECTED'));
});

test('works inside a namespace where the server has them, and says when there is none of that name', async (t) => {
  const { address, product } = server;
  const namespace = `${prefix}-team`;
  const inside = { operator: connect(t, { address, login: tokenLogin(rootToken), namespace }), layout };
  const login = await appRole(t);
  const outside = issuerFor(vault, { login, spiffeId: uploads, vault: { namespace } });
  if (!product.startsWith('OpenBao')) {
    // HashiCorp's community edition has no namespaces and does not look at the header.
    assert.equal((await outside()).spiffeId.uri, uploads);
    return;
  }
  await assert.rejects(outside(), is('NAMESPACE_MISSING'));
  await operator.write(`sys/namespaces/${namespace}`, {});
  await applyBootstrap(inside.operator, layout);
  await addWorkload(inside.operator, layout, 'uploads');
  const { roleId, wrappingToken } = await issueWrappedCredential(inside.operator, layout, 'uploads', 300);
  const secretId = { wrappedFile: await file(t, wrappingToken.reveal()), keptIn: undefined };
  const own: LoginConfig = { method: 'approle', mount: mounts.approle, roleIdFile: await file(t, roleId), secretId };
  const issue = issuerFor(vault, { login: own, spiffeId: uploads, vault: { namespace } });
  assert.equal((await issue()).spiffeId.uri, uploads);
  await assert.rejects(outside(), is('CREDENTIAL_REJECTED'));
});

test('no error holds a token or a secret id', async (t) => {
  const secret = 'canary-credential';
  const canaries: LoginConfig[] = [
    await appRole(t, { secretId: secret }),
    { method: 'jwt', mount: logins.jwt, role: 'uploads', jwtFile: await file(t, `x.${secret}.x`) },
    { method: 'token', tokenFile: await file(t, secret) },
    {
      method: 'approle',
      mount: mounts.approle,
      roleIdFile: await file(t, 'role'),
      secretId: { wrappedFile: await file(t, secret), keptIn: undefined },
    },
  ];
  for (const login of canaries) {
    const issue = issuerFor(vault, { login, spiffeId: uploads });
    await assert.rejects(
      issue(),
      (error: Error) => !JSON.stringify([error.message, error, error.cause]).includes(secret),
    );
  }
});
