/** Logins of workloads beside AppRole: who may enable them, who may add workloads, and what a workload's token can do. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { policyText } from '../../vault-policies/policy-text.ts';
import { applySteps, planSteps } from '../../vault-policies/steps.ts';
import { loginSteps, type WorkloadLogin } from '../../vault-policies/workload-logins.ts';
import { addWorkload, type WorkloadProof } from '../../vault-policies/workloads.ts';
import { createAuthority } from '../support/certificates.ts';
import { createServiceAccounts } from '../support/service-accounts.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { layout } = vault;
const { pki } = layout.mounts;
const authority = (await createAuthority()).certificatePem.trim();
const accounts = createServiceAccounts();
const logins: readonly WorkloadLogin[] = [
  { method: 'kubernetes', host: 'https://127.0.0.1:1', caPem: authority },
  { method: 'jwt', keys: { pem: [accounts.publicKeyPem] }, issuer: accounts.issuer },
  { method: 'cert' },
];
const account = { namespace: 'media', serviceAccount: 'uploader', audience: 'vault' };
const proofs: readonly WorkloadProof[] = [
  { method: 'kubernetes', ...account },
  { method: 'jwt', ...account },
  { method: 'cert', authorityPem: authority },
];

test('the rights in bootstrap.hcl are enough to enable each login and to add workloads to it; a second time nothing is to be done', async () => {
  const policy = `${layout.policies.broker}-bootstrap`;
  await vault.operator.write(`sys/policies/acl/${policy}`, { policy: await policyText('bootstrap', layout) });
  const person = await vault.withPolicy(policy);
  for (const login of logins) {
    const actions = async () => [
      ...new Set((await planSteps(loginSteps(person, layout, login))).map(({ action }) => action)),
    ];
    assert.deepEqual(await actions(), ['create']);
    await applySteps(loginSteps(person, layout, login));
    assert.deepEqual(await actions(), ['ok']);
  }
  for (const proof of proofs) assert.equal((await addWorkload(person, layout, 'first', { proof })).action, 'create');
});

test('an operator adds workloads to each login, sees it as it is with a dry run, and gives no other rights', async () => {
  const operator = await vault.withPolicy(layout.policies.operator);
  for (const login of logins) {
    const plan = await planSteps(loginSteps(operator, layout, login));
    assert.ok(plan.every(({ action }) => action === 'ok'));
  }
  for (const proof of proofs) {
    assert.equal((await addWorkload(operator, layout, 'uploader', { proof })).action, 'create');
    assert.equal((await addWorkload(operator, layout, 'uploader', { proof })).action, 'ok');
  }
  const { kubernetes, jwt, cert } = layout.logins;
  const roles = [`auth/${kubernetes}/role/uploader`, `auth/${jwt}/role/uploader`, `auth/${cert}/certs/uploader`];
  for (const [index, path] of roles.entries()) {
    const method = logins[index]?.method ?? 'cert';
    const own = layout.policies[`workload-${method}`];
    for (const change of [
      { token_policies: [layout.policies.broker] },
      { token_policies: [own, layout.policies.broker] },
      { token_policies: [layout.policies.workload] },
      { policies: ['root'] },
      { token_type: 'service' },
      { token_no_default_policy: false },
    ])
      await assert.rejects(operator.write(path, change), { code: 'VAULT_FORBIDDEN' }, JSON.stringify([path, change]));
  }
  const others: Record<string, object> = {
    [`auth/${jwt}/role/uploader`]: { user_claim: 'name', token_policies: [layout.policies['workload-jwt']] },
    [`auth/${kubernetes}/role/uploader`]: { alias_name_source: 'serviceaccount_name' },
    [`auth/${kubernetes}/config`]: { kubernetes_host: 'https://elsewhere.example' },
    [`auth/${jwt}/config`]: { jwt_validation_pubkeys: [] },
    [`sys/policies/acl/${layout.policies['workload-jwt']}`]: { policy: 'path "*" {}' },
    [`${pki}/roles/workload-jwt`]: { allow_any_name: true },
  };
  for (const [path, body] of Object.entries(others))
    await assert.rejects(operator.write(path, { ...body }), { code: 'VAULT_FORBIDDEN' }, path);
});

test('a workload’s token can have one certificate signed by its login’s PKI role, and nothing more', async () => {
  const { csrPem } = await createKeyAndCsr();
  const own = `spiffe://${layout.trustDomain}/ns/media/sa/uploader`;
  for (const { method } of logins) {
    const workload = await vault.withPolicy(layout.policies[`workload-${method}`]);
    const refused: Record<string, object> = {
      [`${pki}/sign/broker`]: { csr: csrPem, uri_sans: `spiffe://${layout.trustDomain}/broker` },
      [`${pki}/sign/workload`]: { csr: csrPem, uri_sans: own },
      [`${pki}/issue/workload-${method}`]: { uri_sans: own },
      [`${pki}/sign-verbatim/workload-${method}`]: { csr: csrPem },
      'auth/token/create': {},
      'auth/token/renew-self': {},
    };
    for (const [path, body] of Object.entries(refused))
      await assert.rejects(workload.write(path, { ...body }), { code: 'VAULT_FORBIDDEN' }, path);
    // The path is open; without an entity the template allows nobody.
    const signing = workload.write(`${pki}/sign/workload-${method}`, { csr: csrPem, uri_sans: own });
    await assert.rejects(signing, { code: 'INTERNAL', detail: /^400/ });
  }
});

test('no pattern gets into the name of a namespace or a service account', async () => {
  for (const [namespace, serviceAccount] of [
    ['*', 'uploader'],
    ['media', '*'],
    ['media', 'up*'],
    ['media/sa', 'x'],
    ['media', ''],
    ['Media', 'uploader'],
  ] as const) {
    const proof = { method: 'jwt', namespace, serviceAccount, audience: 'vault' } as const;
    await assert.rejects(addWorkload(vault.operator, layout, 'rogue', { proof }), { code: 'INVALID_REQUEST' });
  }
});
