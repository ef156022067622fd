import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { z } from 'zod';
import { Secret } from '../../broker/domain/secret.ts';
import { createAuditAnchors } from '../../broker/vault/audit-anchors.ts';
import { createCheckpointSigner } from '../../broker/vault/audit-checkpoints.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { grantContext } from '../../broker/vault/encryption-context.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
import { applyBootstrap, planBootstrap } from '../../vault-policies/bootstrap.ts';
import { issueCredential } from '../../vault-policies/credentials.ts';
import { addWorkload } from '../../vault-policies/workloads.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
let hours = 0;
/** Each look comes so late that nothing is remembered. */
const clock = {
  now: () => {
    hours += 1;
    return new Date(hours * 3_600_000);
  },
};
const { layout } = vault;
const { transit, kv, anchors, pki, approle } = layout.mounts;
const broker = await vault.asBroker();
const operator = await vault.withPolicy(layout.policies.operator);
const tenantKeys = createTenantKeys({ vault: broker, transit });

const place = { tenant: 'acme', channel: 'one', generation: 1 };
await tenantKeys.create('acme');
const ciphertext = await tenantKeys.encrypt(place, new Secret('1//refresh'));

test('an operator rotates a tenant key, rewraps without seeing a plaintext, and retires the old version', async () => {
  await operator.write(`${transit}/keys/tenant-acme/rotate`, {});
  const rewrapped = await operator.compute(
    `${transit}/rewrap/tenant-acme`,
    { ciphertext, context: grantContext(place) },
    z.object({ ciphertext: z.string().startsWith('vault:v2:') }),
  );
  await operator.write(`${transit}/keys/tenant-acme/config`, { min_decryption_version: 2, min_encryption_version: 2 });
  await operator.write(`${transit}/keys/tenant-acme/trim`, { min_available_version: 2 });
  assert.equal((await tenantKeys.decrypt(place, rewrapped.ciphertext)).reveal(), '1//refresh');
  await assert.rejects(tenantKeys.decrypt(place, ciphertext), { code: 'INTERNAL' });
});

test('an operator destroys a tenant by destroying its key, in two steps', async () => {
  await tenantKeys.create('leaving');
  const left = { ...place, tenant: 'leaving' };
  const lost = await tenantKeys.encrypt(left, new Secret('1//refresh'));
  const key = `${transit}/keys/tenant-leaving`;
  await assert.rejects(operator.delete(key), { code: 'INTERNAL', detail: /^400/ });
  await operator.write(`${key}/config`, { deletion_allowed: true });
  await operator.delete(key);
  await assert.rejects(tenantKeys.decrypt(left, lost), { code: 'INTERNAL' });
});

test('an operator replaces the secret of an OAuth client, and ends the former one', async () => {
  const secrets = createOAuthClientSecrets({ vault: broker, kv, clock });
  const read = async () =>
    [await secrets.newest('replaced'), ...(await secrets.former('replaced'))].map(({ secret }) => secret.reveal());
  await secrets.create('replaced', new Secret('GOCSPX-one'));
  await operator.write(`${kv}/data/replaced`, { data: { client_secret: 'GOCSPX-two' } });
  assert.deepEqual(await read(), ['GOCSPX-two', 'GOCSPX-one']);
  await operator.write(`${kv}/destroy/replaced`, { versions: [1] });
  assert.deepEqual(await read(), ['GOCSPX-two']);
});

test('an operator rotates a DPoP key, and every version goes on signing', async () => {
  const dpopKeys = createDpopKeys({ vault: broker, transit });
  await dpopKeys.create('rotated');
  await operator.write(`${transit}/keys/dpop-rotated/rotate`, {});
  assert.equal((await dpopKeys.current('rotated')).version, 2);
  await Promise.all([dpopKeys.sign('rotated', 1, 'a.b'), dpopKeys.sign('rotated', 2, 'a.b')]);
});

test('an operator reads what an auditor needs: the public key and the anchor', async () => {
  const signer = createCheckpointSigner({ vault: broker, transit });
  const checkpoint = await signer.sign({ chain: 'acme', seq: 1, hash: Buffer.alloc(32), at: new Date(0) });
  await createAuditAnchors({ vault: broker, anchors }).put(checkpoint, 0);
  assert.deepEqual(await createCheckpointSigner({ vault: operator, transit }).keys(), await signer.keys());
  const anchor = await createAuditAnchors({ vault: operator, anchors }).find('acme');
  assert.deepEqual(anchor?.checkpoint, checkpoint);
});

test('an operator adds a workload, gives it a credential, and revokes its certificate', async () => {
  assert.equal((await addWorkload(operator, layout, 'uploader-1')).action, 'create');
  assert.equal((await addWorkload(operator, layout, 'uploader-1')).action, 'ok');
  await issueCredential(operator, layout, 'uploader-1');
  const authority = createCertificateAuthority({ vault: await vault.asWorkload('uploader-1'), pki });
  const { csrPem } = await createKeyAndCsr();
  const uriSan = 'spiffe://media.example/workload/uploader-1';
  const { serial } = await authority.signCertificate({ role: 'workload', csrPem, uriSan });
  await operator.write(`${pki}/revoke`, { serial_number: serial });
  await operator.delete(`auth/${approle}/role/uploader-1`);
});

test('an operator sees with a dry run whether Vault is set up, but is told no when mending it', async () => {
  assert.ok((await planBootstrap(operator, layout)).every(({ action }) => action === 'ok'));
  const path = `sys/policies/acl/${layout.policies.workload}`;
  const text = await vault.operator.read(path, z.object({ policy: z.string() }));
  await vault.operator.write(path, { policy: '# nothing' });
  await assert.rejects(applyBootstrap(operator, layout), { code: 'VAULT_FORBIDDEN', detail: /^policy .*-workload/ });
  await vault.operator.write(path, text);
});

test('an operator can do nothing more', async (t) => {
  const dpopKeys = createDpopKeys({ vault: broker, transit });
  await dpopKeys.create('web');
  const read = (path: string) => () => operator.read(path, z.unknown());
  const write =
    (path: string, body = {}) =>
    () =>
      operator.write(path, body);
  const role = (fields: object) => write(`auth/${approle}/role/rogue`, fields);
  const workloadPolicy = layout.policies.workload;
  const refused: Record<string, () => Promise<unknown>> = {
    decrypt: write(`${transit}/decrypt/tenant-acme`, { ciphertext, context: grantContext(place) }),
    encrypt: write(`${transit}/encrypt/tenant-acme`, { plaintext: 'eA==', context: grantContext(place) }),
    'make a data key': write(`${transit}/datakey/plaintext/tenant-acme`, { context: 'eA==' }),
    'sign a DPoP proof': write(`${transit}/sign/dpop-web`, { input: 'eA==' }),
    'create a key': write(`${transit}/keys/tenant-new`, { type: 'aes256-gcm96' }),
    'import a key': write(`${transit}/keys/tenant-acme/import`, { ciphertext: 'x' }),
    'make a key exportable': write(`${transit}/keys/tenant-acme/config`, { exportable: true }),
    'make a key open to backup': write(`${transit}/keys/tenant-acme/config`, { allow_plaintext_backup: true }),
    'export a key': read(`${transit}/export/encryption-key/tenant-acme`),
    'back a key up': read(`${transit}/backup/tenant-acme`),
    'allow a DPoP key to be deleted': write(`${transit}/keys/dpop-web/config`, { deletion_allowed: true }),
    'delete a DPoP key': () => operator.delete(`${transit}/keys/dpop-web`),
    'trim a DPoP key': write(`${transit}/keys/dpop-web/trim`, { min_available_version: 1 }),
    'raise the oldest version of a DPoP key that signs': write(`${transit}/keys/dpop-web/config`, {
      min_encryption_version: 1,
    }),
    'raise the oldest version of a DPoP key that verifies': write(`${transit}/keys/dpop-web/config`, {
      min_decryption_version: 1,
    }),
    'import a version of a DPoP key': write(`${transit}/keys/dpop-web/import_version`, { ciphertext: 'x' }),
    'make a DPoP key': write(`${transit}/keys/dpop-new`, { type: 'ecdsa-p256' }),
    'rotate the key that signs the audit record': write(`${transit}/keys/audit-checkpoint/rotate`),
    'allow the key that signs the audit record to be deleted': write(`${transit}/keys/audit-checkpoint/config`, {
      deletion_allowed: true,
    }),
    'sign the audit record': write(`${transit}/sign/audit-checkpoint`, { input: 'eA==' }),
    'move an anchor': write(`${anchors}/data/acme`, { data: { seq: 1 } }),
    'read a client secret': read(`${kv}/data/web`),
    'add a client secret': write(`${kv}/data/new`, { data: { client_secret: 'GOCSPX-one' } }),
    'sign a certificate': write(`${pki}/sign/broker`),
    'change a PKI role': write(`${pki}/roles/workload`, { allow_any_name: true }),
    'replace the root certificate': write(`${pki}/root/generate/internal`, { common_name: 'other' }),
    "issue the broker's credential": () => issueCredential(operator, layout, 'token-broker'),
    "choose the broker's secret id": write(`auth/${approle}/role/token-broker/custom-secret-id`, { secret_id: 'x' }),
    "change the broker's role": write(`auth/${approle}/role/token-broker`, { token_ttl: 1 }),
    "delete the broker's role": () => operator.delete(`auth/${approle}/role/token-broker`),
    'make a role with the broker’s policy': role({ token_policies: [layout.policies.broker] }),
    'make a role with the broker’s policy beside the workloads’': role({
      token_policies: [workloadPolicy, layout.policies.broker],
    }),
    'make a role with a policy by the old name': role({ token_policies: [workloadPolicy], policies: ['root'] }),
    'make a role without a secret id': role({ token_policies: [workloadPolicy], bind_secret_id: false }),
    'make a role with another kind of token': role({ token_policies: [workloadPolicy], token_type: 'service' }),
    'write a policy': write(`sys/policies/acl/${layout.policies.operator}`, { policy: 'path "*" {}' }),
    'mount an engine': write(`sys/mounts/${transit}-other`, { type: 'transit' }),
    'change identity tokens': write(`identity/oidc/role/${layout.identity.role}`, { key: layout.identity.key }),
    'make tokens': write('auth/token/create', { policies: ['root'] }),
  };
  for (const [act, attempt] of Object.entries(refused)) {
    await t.test(`cannot ${act}`, () => assert.rejects(attempt, { code: 'VAULT_FORBIDDEN' }));
  }
});
