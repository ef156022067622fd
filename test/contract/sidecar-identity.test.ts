/** The sidecar's certificate, on a real Vault PKI. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { IdentityError, type IdentityProblem } from '../../sidecar/identity-error.ts';
import { createVaultRequest } from '../../sidecar/vault/request.ts';
import { issueCredential } from '../../vault-policies/credentials.ts';
import { loginAccessor } from '../../vault-policies/engines.ts';
import { workloadPkiRole } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { atEnd, useFolder } from '../support/scope.ts';
import { isReady, readToken, until, useSidecar } from '../support/sidecar.ts';
import { useTokenServer } from '../support/token-server.ts';
import { useOwnVault } from '../support/vault.ts';
import { type SetUpVault, useSetUpVault } from '../support/vault-set-up.ts';

/** For the tests that change nothing in it. */
const vault = await useSetUpVault({ after });

/** Changes for how long the PKI signs certificates of workloads, and for whom. */
async function signFor({ operator, layout: { mounts, trustDomain } }: SetUpVault, seconds: number, uri?: string) {
  const role = workloadPkiRole(trustDomain, await loginAccessor(operator, mounts.approle));
  const names = uri === undefined ? {} : { allowed_uri_sans: [uri], allowed_uri_sans_template: false };
  await operator.write(`${mounts.pki}/roles/workload`, { ...role, ttl: seconds, max_ttl: seconds, ...names });
}

/** Makes another authority, which signs from now on. */
async function rotateRoot({ operator, layout }: SetUpVault) {
  const root = { common_name: 'the next root', key_type: 'ec', key_bits: 256 };
  await operator.write(`${layout.mounts.pki}/root/rotate/internal`, root);
  await operator.write(`${layout.mounts.pki}/root/replace`, { default: 'next' });
}

const is = (code: IdentityProblem) => (error: unknown) => error instanceof IdentityError && error.code === code;

test('tells a sealed Vault from one that is away', async (t) => {
  const vault = await useOwnVault(t);
  await vault.seal();
  const request = createVaultRequest({ address: new URL(vault.address), namespace: undefined, caFile: undefined });
  await assert.rejects(request({ method: 'POST', path: 'auth/approle/login', body: {} }), is('VAULT_SEALED'));
});

test('sends no token after a redirect, and none through a proxy of the environment', async (t) => {
  const heard: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    heard.push(request.url);
    response.writeHead(307, { Location: '/elsewhere' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => new Promise((resolve) => server.close(resolve)));
  const address = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const request = createVaultRequest({ address, namespace: undefined, caFile: undefined });
  process.env.HTTP_PROXY = 'http://127.0.0.1:1';
  atEnd(t, () => void delete process.env.HTTP_PROXY);
  await assert.rejects(request({ method: 'GET', path: 'pki/issuers', token: 'secret' }), is('VAULT_REDIRECTED'));
  assert.deepEqual(heard, ['/v1/pki/issuers']);
});

test('rotates under load without one failed read', async (t) => {
  const broker = await useTokenServer(t, vault);
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);

  const failures: unknown[] = [];
  let channel = 0;
  let enough = false;
  // Each read is of a channel that was never read, so that each is a call to the broker.
  const read = async () => {
    while (!enough && failures.length === 0) {
      const { status, body } = await readToken(sidecar, `ch_${channel++}`);
      if (status !== 200) failures.push(body);
    }
  };
  const reading = Promise.all(Array.from({ length: 8 }, read));
  const serials = () => new Set(broker.calls.map(({ serial }) => serial));
  for (const rotations of [0, 1, 2, 3]) {
    if (rotations > 0) await sidecar.rotate();
    const from = broker.calls.length;
    await until(() => failures.length > 0 || (serials().size > rotations && broker.calls.length >= from + 25));
  }
  enough = true;
  await reading;
  assert.deepEqual(failures, []);
  assert.equal(serials().size, 4);
});

test('keeps serving on the old certificate while Vault signs no new one', async (t) => {
  const own = await useSetUpVault(t);
  const broker = await useTokenServer(t, own);
  const sidecar = await useSidecar(t, { vault: own, broker: broker.address });
  await isReady(sidecar);
  await signFor(own, 3_600, 'spiffe://media.example/workload/nobody');
  await assert.rejects(sidecar.rotate(), is('SIGNING_REFUSED'));
  assert.ok(sidecar.log.some(({ code }) => code === 'SIGNING_REFUSED'));
  assert.equal((await readToken(sidecar, 'ch_1')).status, 200);
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 200);
});

test('stays on the old connection while the broker does not accept the new certificate', async (t) => {
  const own = await useSetUpVault(t);
  const broker = await useTokenServer(t, own);
  const sidecar = await useSidecar(t, { vault: own, broker: broker.address });
  await isReady(sidecar);
  await readToken(sidecar, 'ch_1');
  // This broker has not heard of the next authority yet.
  await rotateRoot(own);
  await sidecar.rotate();
  assert.equal(sidecar.log.filter(({ message }) => message === 'new certificate').length, 2);
  assert.equal((await readToken(sidecar, 'ch_2')).status, 200);
  assert.equal(broker.calls[1]?.serial, broker.calls[0]?.serial);
});

test('says that its certificate has expired instead of blaming the broker', async (t) => {
  const broker = await useTokenServer(t, vault);
  let ahead = 0;
  const now = () => Date.now() + ahead;
  const sidecar = await useSidecar(t, { vault, broker: broker.address, dependencies: { now } });
  await isReady(sidecar);
  ahead = 2 * 3_600_000;
  const { status, body } = await readToken(sidecar, 'ch_1');
  assert.deepEqual([status, body.error?.code], [503, 'IDENTITY_EXPIRED']);
  const ready = await fetch(`${sidecar.operationsUrl}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /IDENTITY_EXPIRED/);
});

test('starts without Vault, says what it waits for, and serves once Vault has let it in', async (t) => {
  const broker = await useTokenServer(t, vault);
  const secretIdFile = join(await useFolder(t), 'secret-id');
  await addWorkload(vault.operator, vault.layout, 'uploads');
  const sidecar = await useSidecar(t, {
    vault,
    broker: broker.address,
    settings: { SIDECAR_VAULT_SECRET_ID_FILE: secretIdFile },
  });
  const { status, headers, body } = await readToken(sidecar, 'ch_1');
  assert.deepEqual([status, body.error?.code], [503, 'STARTING']);
  assert.ok(Number(headers.get('retry-after')) > 0);
  assert.equal((await fetch(`${sidecar.operationsUrl}/livez`)).status, 200);
  await until(async () =>
    (await (await fetch(`${sidecar.operationsUrl}/readyz`)).text()).includes('CREDENTIAL_UNREADABLE'),
  );

  const secretId = (await issueCredential(vault.operator, vault.layout, 'uploads')).secretId.reveal();
  await writeFile(secretIdFile, secretId);
  await isReady(sidecar);
  await until(async () => (await readToken(sidecar, 'ch_1')).status === 200);
  assert.ok(!JSON.stringify(sidecar.log).includes(secretId));
});
