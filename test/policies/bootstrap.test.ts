import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { tokenLogin } from '../../broker/vault/login.ts';
import { applyBootstrap, planBootstrap } from '../../vault-policies/bootstrap.ts';
import { layout, type VaultLayout } from '../../vault-policies/layout.ts';
import { policyText } from '../../vault-policies/policy-text.ts';
import type { FoundStep } from '../../vault-policies/steps.ts';
import { useVault } from '../support/vault.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { connect, createToken } from '../support/vault-set-up.ts';

async function useEmptyPlace(t: TestContext) {
  const { address, rootToken, prefix } = await useVault(t);
  const names = layout({ prefix: `${prefix}-`, trustDomain: 'media.example' });
  const front = await useVaultFront(t, address);
  const operator = connect(t, { address: front.address, login: tokenLogin(new Secret(rootToken)) });
  const writes = () => front.requests.filter((line) => !/^GET /.test(line));
  return { address, rootToken, names, operator, writes };
}

const actions = (steps: readonly FoundStep[]) => [...new Set(steps.map(({ action }) => action))];

test('a dry run on an empty Vault lists every step as missing, and writes nothing', async (t) => {
  const { operator, names, writes } = await useEmptyPlace(t);
  const plan = await planBootstrap(operator, names);
  assert.deepEqual(actions(plan), ['create']);
  assert.ok(plan.some(({ name }) => name === `policy ${names.policies.broker}`));
  assert.ok(plan.every(({ reason }) => reason === 'is not there'));
  assert.deepEqual(writes(), []);
});

test('the second run finds all as it should be and writes nothing', async (t) => {
  const { operator, names, writes } = await useEmptyPlace(t);
  await applyBootstrap(operator, names);
  const before = writes().length;
  assert.deepEqual(actions(await applyBootstrap(operator, names)), ['ok']);
  assert.equal(writes().length, before);
});

test('each step is told once it is done, in the order of the answer', async (t) => {
  const { operator, names } = await useEmptyPlace(t);
  const told: FoundStep[] = [];
  const done = await applyBootstrap(operator, names, (step) => told.push(step));
  assert.deepEqual(told, done);
});

test('a run that was cut short goes on where it stopped', async (t) => {
  const { operator, names } = await useEmptyPlace(t);
  const cut = () => {
    throw new Error('cut');
  };
  await assert.rejects(applyBootstrap(operator, names, cut), /cut/);
  const [first, ...others] = await applyBootstrap(operator, names);
  assert.equal(first?.action, 'ok');
  assert.ok(others.some(({ action }) => action === 'create'));
  assert.deepEqual(actions(await planBootstrap(operator, names)), ['ok']);
});

const drifts: readonly [string, (names: VaultLayout) => [string, object], RegExp][] = [
  ['a widened policy', (l) => [`sys/policies/acl/${l.policies.workload}`, { policy: 'path "*" {}' }], /policy/],
  [
    'a PKI role that allows a glob',
    (l) => [`${l.mounts.pki}/roles/workload`, { allowed_uri_sans: ['spiffe://media.example/*'] }],
    /allowed_uri_sans/,
  ],
  [
    'an AppRole role with another policy',
    (l) => [`auth/${l.mounts.approle}/role/token-broker`, { token_policies: ['default'] }],
    /token_policies/,
  ],
  [
    'identity tokens that live for a day',
    (l) => [`identity/oidc/role/${l.identity.role}`, { key: l.identity.key, ttl: 86_400 }],
    /ttl/,
  ],
  ['keys by mistake', (l) => [`${l.mounts.transit}/config/keys`, { disable_upsert: false }], /disable_upsert/],
  ['a short lease', (l) => [`sys/mounts/${l.mounts.pki}/tune`, { max_lease_ttl: '1h' }], /longest lease/],
];

test('what was changed by hand is found with the reason, and mended', async (t) => {
  const { operator, names } = await useEmptyPlace(t);
  await applyBootstrap(operator, names);
  for (const [what, drift, reason] of drifts) {
    await operator.write(...(drift(names) as [string, Record<string, unknown>]));
    const changes = (await planBootstrap(operator, names)).filter(({ action }) => action !== 'ok');
    assert.equal(changes.length, 1, what);
    assert.equal(changes[0]?.action, 'change', what);
    assert.match(changes[0]?.reason ?? '', reason, what);
    await applyBootstrap(operator, names);
    assert.deepEqual(actions(await planBootstrap(operator, names)), ['ok'], what);
  }
});

test('the rights in bootstrap.hcl are enough', async (t) => {
  const { address, rootToken, operator, names } = await useEmptyPlace(t);
  const policy = `${names.policies.broker}-bootstrap`;
  await operator.write(`sys/policies/acl/${policy}`, { policy: await policyText('bootstrap', names) });
  const token = await createToken({ address, rootToken }, policy);
  const person = connect(t, { address, login: tokenLogin(token) });
  await applyBootstrap(person, names);
  assert.deepEqual(actions(await planBootstrap(person, names)), ['ok']);
});

test('a token without the rights hears which step needs more', async (t) => {
  const { address, rootToken, names } = await useEmptyPlace(t);
  const person = connect(t, { address, login: tokenLogin(await createToken({ address, rootToken }, 'default')) });
  await assert.rejects(planBootstrap(person, names), (error: { code: string; problems: readonly string[] }) => {
    assert.equal(error.code, 'VAULT_FORBIDDEN');
    assert.match(error.problems.join(' '), /step "transit engine .*sys\/mounts.*bootstrap\.hcl/);
    return true;
  });
});

test('another engine at one of our paths stops the run with a plain word', async (t) => {
  const { operator, names } = await useEmptyPlace(t);
  await operator.write(`sys/mounts/${names.mounts.kv}`, { type: 'kv', options: { version: '1' } });
  await assert.rejects(applyBootstrap(operator, names), { code: 'CONFIG_INVALID', detail: /kv engine with other/ });
});

test('a root certificate that is there stays', async (t) => {
  const { operator, names } = await useEmptyPlace(t);
  await applyBootstrap(operator, names);
  const before = await operator.list(`${names.mounts.pki}/issuers`);
  await applyBootstrap(operator, names);
  assert.equal(before.length, 1);
  assert.deepEqual(await operator.list(`${names.mounts.pki}/issuers`), before);
});
