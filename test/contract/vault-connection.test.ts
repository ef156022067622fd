import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import type { VaultConnection } from '../../broker/vault/connection.ts';
import { appRoleLogin, tokenFileLogin, tokenLogin } from '../../broker/vault/login.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { vaultFailureOf } from '../../broker/vault/vault-failure.ts';
import { layout } from '../../vault-policies/layout.ts';
import { useFolder } from '../support/scope.ts';
import { useOwnVault, useVault } from '../support/vault.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { connect, createToken, credentialFiles, useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { approle, transit } = vault.layout.mounts;

/** Polls until the condition holds; the test runner's own limit ends it where it never does. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(20);
}

/** Logs in as the broker through a front, with an AppRole role of its own that the test may spoil. */
async function useSpoilableLogin(t: TestContext, name: string, fields: Record<string, unknown>) {
  const token_policies = [vault.layout.policies.broker, 'default'];
  await vault.operator.write(`auth/${approle}/role/${name}`, { token_policies, ...fields });
  const files = await credentialFiles(t, vault.operator, vault.layout, name);
  const front = await useVaultFront(t, vault.address);
  const login = appRoleLogin({ mount: approle, ...files });
  const connection = connect(t, { address: front.address, login, random: () => 0 });
  const count = (line: RegExp) => front.requests.filter((request) => line.test(request)).length;
  return { connection, files, front, logins: () => count(/approle\/login/), renewals: () => count(/renew-self/) };
}

const selfAccessor = async (connection: VaultConnection) =>
  (await connection.read('auth/token/lookup-self', z.object({ accessor: z.string() }))).accessor;

test('the token of an AppRole login is renewed by itself, also after 503s in between', async (t) => {
  const { connection, front, logins, renewals } = await useSpoilableLogin(t, 'short', { token_period: 2 });
  const first = await selfAccessor(connection);
  front.fail(/renew-self/, 2);
  await until(() => renewals() >= 5);
  assert.equal(connection.health().state, 'logged_in');
  assert.equal(await selfAccessor(connection), first);
  assert.equal(logins(), 1);
});

test('when no renewal gets through, a new login takes over before anybody notices', async (t) => {
  const { connection, front, logins } = await useSpoilableLogin(t, 'unrenewable', { token_period: 2 });
  const first = await selfAccessor(connection);
  front.fail(/renew-self/, 1_000);
  await until(() => logins() >= 2);
  assert.notEqual(await selfAccessor(connection), first);
});

test('a token revoked behind our back is replaced: the request that met it succeeds', async (t) => {
  const { files } = await useSpoilableLogin(t, 'revoked', {});
  let now = Date.now();
  const connection = connect(t, {
    address: vault.address,
    login: appRoleLogin({ mount: approle, ...files }),
    clock: { now: () => new Date(now) },
  });
  const accessor = await selfAccessor(connection);
  await vault.operator.write('auth/token/revoke-accessor', { accessor });
  now += 10_000;
  assert.notEqual(await selfAccessor(connection), accessor);
});

test('a path that policy forbids costs no login each time it is asked for', async (t) => {
  const { connection, logins } = await useSpoilableLogin(t, 'forbidden', {});
  for (let i = 0; i < 5; i++) {
    await assert.rejects(connection.read('sys/mounts', z.unknown()), { code: 'VAULT_FORBIDDEN' });
  }
  assert.equal(logins(), 1);
});

test('a secret id that is destroyed is told as refused, and a new one in the file is taken up', async (t) => {
  const { connection, files, logins } = await useSpoilableLogin(t, 'expired', {});
  await writeFile(files.secretIdFile, 'no-longer-valid');
  await assert.rejects(connection.list(`${transit}/keys`), (error) => {
    assert.equal((error as { code: string }).code, 'VAULT_FORBIDDEN');
    assert.equal(vaultFailureOf(error)?.kind, 'login_refused');
    assert.doesNotMatch(inspect(error, { depth: null, showHidden: true }), /no-longer-valid/);
    return true;
  });
  assert.deepEqual([connection.health().state, connection.health().failure], ['logged_out', 'login_refused']);
  await until(() => logins() >= 3);

  const renewed = await credentialFiles(t, vault.operator, vault.layout, 'expired');
  await writeFile(files.secretIdFile, await readFile(renewed.secretIdFile));
  await until(() => connection.health().state === 'logged_in');
  await selfAccessor(connection);
});

test('a missing credential file is told without a login', async (t) => {
  const front = await useVaultFront(t, vault.address);
  const files = { roleIdFile: '/nowhere/role-id', secretIdFile: '/nowhere/secret-id' };
  const connection = connect(t, { address: front.address, login: appRoleLogin({ mount: approle, ...files }) });
  await assert.rejects(connection.check(), { code: 'VAULT_FORBIDDEN', detail: /cannot read the role id file/ });
  assert.equal(connection.health().failure, 'credential_unreadable');
  assert.deepEqual(front.requests, []);
});

test('a token from a file is used, its lease known, and not revoked when the connection closes', async (t) => {
  const shared = await useVault(t);
  const operator = connect(t, { address: shared.address, login: tokenLogin(new Secret(shared.rootToken)) });
  const policy = 'path "auth/token/lookup-self" { capabilities = ["read"] }';
  await operator.write(`sys/policies/acl/${shared.prefix}`, { policy });
  const token = await createToken(shared, shared.prefix);
  const tokenFile = join(await useFolder(t), 'token');
  await writeFile(tokenFile, `${token.reveal()}\n`);
  const connection = connect(t, { address: shared.address, login: tokenFileLogin({ tokenFile }) });
  await selfAccessor(connection);
  assert.ok(connection.health().tokenExpiresAt);
  await connection.close();
  await selfAccessor(connect(t, { address: shared.address, login: tokenLogin(token) }));
});

test('reads and computations are repeated through a passing 503; writes are sent once', async (t) => {
  const { connection, front } = await useSpoilableLogin(t, 'repeats', {});
  const keys = createTenantKeys({ vault: connection, transit });
  await keys.create('repeats');
  front.fail(/encrypt/, 2);
  await keys.encrypt({ tenant: 'repeats', channel: 'one', generation: 1 }, new Secret('1//refresh'));
  assert.equal(front.requests.filter((line) => /encrypt/.test(line)).length, 3);

  front.fail(/POST .*keys\/tenant-once/, 1);
  await assert.rejects(keys.create('once'), { code: 'VAULT_UNAVAILABLE' });
  assert.equal(front.requests.filter((line) => /POST .*keys\/tenant-once/.test(line)).length, 1);
});

test('a caller who aborts between two tries gets the reason of the abort', async (t) => {
  const front = await useVaultFront(t, vault.address);
  const controller = new AbortController();
  const connection = connect(t, {
    address: front.address,
    login: tokenLogin(new Secret('not-looked-at')),
    wait: (_, signal) => {
      controller.abort(new Error('the caller left'));
      return Promise.reject(new Error('the wait was aborted', { cause: signal.reason }));
    },
  });
  front.fail(/anything/, 1);
  await assert.rejects(connection.read('anything', z.unknown(), { signal: controller.signal }), /the caller left/);
});

test('closing revokes the token that the login made', async (t) => {
  const { connection } = await useSpoilableLogin(t, 'closing', {});
  const accessor = await selfAccessor(connection);
  await vault.operator.write('auth/token/lookup-accessor', { accessor });
  await connection.close();
  await assert.rejects(vault.operator.write('auth/token/lookup-accessor', { accessor }));
  await assert.rejects(connection.check(), { code: 'VAULT_UNAVAILABLE' });
});

test('sealed while running is told as sealed, and after the unsealing all goes on without a hand', async (t) => {
  const own = await useOwnVault(t);
  const connection = connect(t, { address: own.address, login: tokenLogin(new Secret(own.rootToken)) });
  await connection.write('sys/mounts/transit', { type: 'transit' });
  const keys = createTenantKeys({ vault: connection, transit: 'transit' });
  const place = { tenant: 'acme', channel: 'one', generation: 1 };
  await keys.create('acme');
  const ciphertext = await keys.encrypt(place, new Secret('1//refresh'));
  await connection.check();

  await own.seal();
  await assert.rejects(keys.decrypt(place, ciphertext), { code: 'VAULT_SEALED' });
  await assert.rejects(connection.check(), { code: 'VAULT_SEALED' });

  await own.unseal();
  assert.equal((await keys.decrypt(place, ciphertext)).reveal(), '1//refresh');
  await connection.check();
});

test('a broker that starts while Vault is sealed logs in by itself once it is unsealed', async (t) => {
  const own = await useOwnVault(t);
  const operator = connect(t, { address: own.address, login: tokenLogin(new Secret(own.rootToken)) });
  await operator.write('sys/auth/approle', { type: 'approle' });
  await operator.write('auth/approle/role/token-broker', { token_policies: ['default'] });
  const files = await credentialFiles(t, operator, layout({ trustDomain: 'media.example' }), 'token-broker');
  await own.seal();
  const broker = connect(t, {
    address: own.address,
    login: appRoleLogin({ mount: 'approle', ...files }),
    random: () => 0,
  });
  await assert.rejects(selfAccessor(broker), { code: 'VAULT_SEALED' });
  assert.deepEqual([broker.health().state, broker.health().failure], ['logged_out', 'sealed']);
  await own.unseal();
  await until(() => broker.health().state === 'logged_in');
  await selfAccessor(broker);
});

test('a Vault that hangs is left at the deadline, and used again once it goes on', async (t) => {
  const own = await useOwnVault(t);
  const connection = connect(t, { address: own.address, login: tokenLogin(new Secret(own.rootToken)) });
  await connection.check();
  own.pause();
  // A stopped process may have an answer or two on the way yet.
  const calls = async () => {
    for (;;) await connection.check({ deadlineMs: 100 });
  };
  await assert.rejects(calls, { code: 'VAULT_UNAVAILABLE', detail: /in \d+ ms/ });
  own.resume();
  await connection.check();
});

test('an answer of another form is told by its field names only', async () => {
  const wrong = z.object({ keys: z.string() });
  await assert.rejects(vault.operator.read('sys/policies/acl?list=true', wrong), (error) => {
    assert.equal(vaultFailureOf(error)?.kind, 'unexpected_answer');
    assert.match(String(error), /look at: keys/);
    return true;
  });
});
