/** The sidecar's certificate over time, on a real Vault PKI and the broker's own gRPC server. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { freePort } from '../../stack/free-port.ts';
import { issueCredential } from '../../vault-policies/credentials.ts';
import { loginAccessor } from '../../vault-policies/engines.ts';
import { workloadPkiRole } from '../../vault-policies/layout.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { type Reads, readUntil } from '../support/pipelined-reads.ts';
import { useFolder } from '../support/scope.ts';
import { isReady, type RunningSidecar, readToken, type SidecarParts, until, useSidecar } from '../support/sidecar.ts';
import { useTokenServer } from '../support/token-server.ts';
import { useOwnVault } from '../support/vault.ts';
import { type SetUpVault, useSetUpVault } from '../support/vault-set-up.ts';

/** Changes for how long the PKI signs certificates of workloads, and for whom. */
async function signFor({ operator, layout: { mounts, trustDomain } }: SetUpVault, seconds: number, uri?: string) {
  const role = workloadPkiRole(trustDomain, await loginAccessor(operator, mounts.approle));
  const names = uri === undefined ? {} : { allowed_uri_sans: [uri], allowed_uri_sans_template: false };
  await operator.write(`${mounts.pki}/roles/workload`, { ...role, ttl: seconds, max_ttl: seconds, ...names });
}

/** Makes another authority, which does not sign yet; answers which one has signed so far. */
async function addAuthority({ operator, layout: { mounts } }: SetUpVault): Promise<string> {
  const config = await operator.read(`${mounts.pki}/config/issuers`, z.object({ default: z.string() }));
  const root = { common_name: 'the next root', key_type: 'ec', key_bits: 256, issuer_name: 'the-next', ttl: '87600h' };
  await operator.write(`${mounts.pki}/root/rotate/internal`, root);
  return config.default;
}

/** Has the other authority sign from now on. */
async function useAuthority({ operator, layout: { mounts } }: SetUpVault): Promise<void> {
  await operator.write(`${mounts.pki}/config/issuers`, { default: 'the-next' });
}

async function useParts(t: TestContext, dependencies: SidecarParts['dependencies'] = {}, vault?: SetUpVault) {
  const world = vault ?? (await useSetUpVault(t));
  const broker = await useTokenServer(t, world);
  const sidecar = await useSidecar(t, { vault: world, broker: broker.address, dependencies });
  await isReady(sidecar);
  return { vault: world, broker, sidecar };
}

const said = ({ log }: RunningSidecar, text: string) =>
  log.filter(({ code, message }) => [code, message].includes(text));
const certificates = (sidecar: RunningSidecar) => said(sidecar, 'new certificate').map(({ serial }) => serial);

/** A wall clock that can be set, as the system's can. */
function settableClock() {
  let ahead = 0;
  return { now: () => Date.now() + ahead, set: (minutes: number) => (ahead = minutes * 60_000) };
}

test('50,000 reads while one certificate after the other is taken into use: not one fails', async (t) => {
  const { broker, sidecar } = await useParts(t);
  const reads: Reads = { answered: 0, failures: [] };
  const fresh: Reads = { answered: 0, failures: [] };
  const serials = () => new Set(broker.calls.map(({ serial }) => serial)).size;
  const over = () => reads.failures.length + fresh.failures.length > 0;
  const enough = () => over() || (reads.answered >= 50_000 && serials() >= 4);
  const tokenPath = (channel: string) => `/v1/channels/${channel}/token`;
  // Each of these is of a channel that was never read, so that each is a call to the broker.
  const readFresh = async () => {
    for (let channel = 0; !enough(); channel += 1) {
      const { status, body } = await readToken(sidecar, `ch_${channel}`);
      if (status === 200) fresh.answered += 1;
      else fresh.failures.push(JSON.stringify(body));
    }
  };
  const rotate = async () => {
    for (let known = 1; !enough(); known += 1) {
      await sidecar.rotate();
      await until(() => enough() || serials() > known);
    }
  };
  const flood = Array.from({ length: 4 }, () => readUntil(sidecar.url, tokenPath('ch_hot'), reads, enough));
  await Promise.all([rotate(), readFresh(), ...flood]);
  t.diagnostic(
    `${reads.answered} reads from memory and ${fresh.answered} that asked the broker, under ${serials()} certificates; failed: ${reads.failures.length + fresh.failures.length}`,
  );
  assert.deepEqual([reads.failures, fresh.failures], [[], []]);
  assert.ok(reads.answered >= 50_000 && fresh.answered >= 4 && serials() >= 4);
});

test('keeps serving on the old certificate while Vault signs no new one', async (t) => {
  const { vault, broker, sidecar } = await useParts(t);
  await readToken(sidecar, 'ch_1');
  await signFor(vault, 3_600, 'spiffe://media.example/workload/nobody');
  await assert.rejects(sidecar.rotate(), { code: 'SIGNING_REFUSED' });
  assert.equal((await readToken(sidecar, 'ch_2')).status, 200);
  assert.equal(broker.calls[1]?.serial, broker.calls[0]?.serial);
  assert.equal((await fetch(`${sidecar.operationsUrl}/readyz`)).status, 200);
});

test('a broker that has not read the next authority does not accept the new certificate: the old connection goes on', async (t) => {
  const { vault, broker, sidecar } = await useParts(t);
  await readToken(sidecar, 'ch_1');
  await addAuthority(vault);
  await useAuthority(vault);
  await sidecar.rotate();
  assert.equal((await readToken(sidecar, 'ch_2')).status, 200);
  assert.equal(broker.calls[1]?.serial, broker.calls[0]?.serial);
});

test('the authority is changed in two steps while old and new certificates are in use on both sides', async (t) => {
  const vault = await useSetUpVault(t);
  const port = await freePort();
  const before = await useTokenServer(t, vault, { port });
  const sidecar = await useSidecar(t, { vault, broker: before.address });
  await isReady(sidecar);
  assert.equal((await readToken(sidecar, 'ch_1')).status, 200);
  const former = await addAuthority(vault);
  await sidecar.rotate();
  assert.equal((await readToken(sidecar, 'ch_2')).status, 200);

  // The broker rotates first: it is signed by the next authority, the sidecar still by the former.
  await useAuthority(vault);
  await before.stop();
  const after = await useTokenServer(t, vault, { port });
  await until(async () => (await readToken(sidecar, 'ch_3')).status === 200);
  assert.equal(after.calls.at(-1)?.serial, certificates(sidecar).at(-1));

  await sidecar.rotate();
  await until(async () => {
    assert.equal((await readToken(sidecar, `ch_${Math.random().toString(36).slice(2)}`)).status, 200);
    return after.calls.at(-1)?.serial === certificates(sidecar).at(-1);
  });
  await vault.operator.delete(`${vault.layout.mounts.pki}/issuer/${former}`);
  await sidecar.rotate();
  assert.equal((await readToken(sidecar, 'ch_5')).status, 200);
});

test('an authority that came without warning is trusted as soon as it is read, with the certificate that is there', async (t) => {
  const vault = await useSetUpVault(t);
  const port = await freePort();
  const clock = settableClock();
  const before = await useTokenServer(t, vault, { port });
  const sidecar = await useSidecar(t, { vault, broker: before.address, dependencies: { now: clock.now } });
  await isReady(sidecar);
  await addAuthority(vault);
  await useAuthority(vault);
  await before.stop();
  const after = await useTokenServer(t, vault, { port });
  const refused = await readToken(sidecar, 'ch_1');
  assert.ok(refused.status === 503);
  // Ten minutes on, the authorities are looked at.
  clock.set(10);
  await until(async () => (await readToken(sidecar, `ch_2`)).status === 200);
  assert.equal(said(sidecar, 'other authorities are trusted from now on').length, 1);
  assert.equal(after.calls.at(-1)?.serial, certificates(sidecar)[0]);
});

test('a certificate whose authority is gone is replaced at once', async (t) => {
  const clock = settableClock();
  const { vault, sidecar } = await useParts(t, { now: clock.now });
  const former = await addAuthority(vault);
  await useAuthority(vault);
  await vault.operator.delete(`${vault.layout.mounts.pki}/issuer/${former}`);
  clock.set(10);
  await until(() => certificates(sidecar).length === 2);
  assert.equal(said(sidecar, 'the certificate in use is not good any more').length, 1);
});

test('a machine that slept past half of the certificate’s life wakes with a new one; a clock that is set back is said', async (t) => {
  const clock = settableClock();
  const { broker, sidecar } = await useParts(t, { now: clock.now });
  await readToken(sidecar, 'ch_1');
  clock.set(40);
  await until(() => certificates(sidecar).length === 2);
  // What was known before the sleep is asked anew.
  await until(async () => (await readToken(sidecar, 'ch_1')).status === 200 && broker.calls.length > 1);

  clock.set(-120);
  await until(() => said(sidecar, 'CLOCK_WRONG').length > 0);
  clock.set(0);
  await until(() => certificates(sidecar).length === 3);
  assert.equal((await readToken(sidecar, 'ch_2')).status, 200);
});

test('says that its certificate has expired instead of blaming the broker', async (t) => {
  const clock = settableClock();
  const { sidecar } = await useParts(t, { now: clock.now });
  clock.set(120);
  const { status, body } = await readToken(sidecar, 'ch_1');
  assert.deepEqual([status, body.error?.code], [503, 'IDENTITY_EXPIRED']);
  const ready = await fetch(`${sidecar.operationsUrl}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /IDENTITY_EXPIRED/);
});

test('a broker that takes the certificate for expired before its end by the clock here: that passes, and no token is dropped', async (t) => {
  const vault = await useSetUpVault(t);
  await signFor(vault, 50);
  let ahead = 0;
  const broker = await useTokenServer(t, vault, { ahead: () => ahead });
  const sidecar = await useSidecar(t, { vault, broker: broker.address });
  await isReady(sidecar);
  assert.equal((await readToken(sidecar, 'ch_held')).status, 200);
  ahead = 60_000;
  const { status, body } = await readToken(sidecar, 'ch_new');
  assert.deepEqual([status, body.error?.code], [503, 'IDENTITY_EXPIRED']);
  assert.equal((await readToken(sidecar, 'ch_held')).status, 200);
});

test('with everything expired while Vault was sealed, it serves again by itself', async (t) => {
  const server = await useOwnVault(t);
  const vault = await useSetUpVault(t, server);
  await signFor(vault, 3);
  const { broker, sidecar } = await useParts(t, {}, vault);
  assert.equal((await readToken(sidecar, 'ch_held')).status, 200);
  await server.seal();
  let channel = 0;
  await until(async () => (await readToken(sidecar, `ch_${channel++}`)).body.error?.code === 'IDENTITY_EXPIRED');
  assert.equal((await readToken(sidecar, 'ch_held')).status, 200);
  assert.ok(said(sidecar, 'VAULT_SEALED').length > 0);
  await server.unseal();
  await until(async () => (await readToken(sidecar, 'ch_after')).status === 200);
  assert.equal(broker.calls.at(-1)?.channel, 'ch_after');
});

test('starts without a credential, says what it waits for, and serves once it is there', async (t) => {
  const vault = await useSetUpVault(t);
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
