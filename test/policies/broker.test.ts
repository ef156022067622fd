import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { z } from 'zod';
import { isSignedBy } from '../../broker/domain/audit-checkpoint.ts';
import { Secret } from '../../broker/domain/secret.ts';
import { createAuditAnchors } from '../../broker/vault/audit-anchors.ts';
import { createCheckpointSigner } from '../../broker/vault/audit-checkpoints.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
import { createCertificateAuthority } from '../../broker/vault/server-certificate.ts';
import { createTenantKeys } from '../../broker/vault/tenant-keys.ts';
import { createKeyAndCsr } from '../../identity/svid.ts';
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
const { transit, kv, anchors, pki, approle } = vault.layout.mounts;
const broker = await vault.asBroker();

test('the broker can do all that its adapters do', async () => {
  const tenantKeys = createTenantKeys({ vault: broker, transit });
  await tenantKeys.create('acme');
  const place = { tenant: 'acme', channel: 'one', generation: 1 };
  await tenantKeys.decrypt(place, await tenantKeys.encrypt(place, new Secret('1//refresh')));
  await tenantKeys.unwrapDataKey('acme', (await tenantKeys.createDataKey('acme')).wrapped);

  await tenantKeys.rotate('acme');
  const old = await tenantKeys.encrypt(place, new Secret('1//refresh'));
  await tenantKeys.rewrapBatch('acme', [{ ...place, ciphertext: old }]);
  await tenantKeys.setMinVersion('acme', 2);
  await tenantKeys.describe('acme');

  const dpopKeys = createDpopKeys({ vault: broker, transit });
  await dpopKeys.create('web');
  await dpopKeys.sign('web', await dpopKeys.rotate('web'), 'a.b');

  const secrets = createOAuthClientSecrets({ vault: broker, kv, clock });
  await secrets.create('web', new Secret('GOCSPX-one'));
  await secrets.replace('web', new Secret('GOCSPX-two'));
  await secrets.retireFormer('web', (await secrets.newest('web')).version);

  const signer = createCheckpointSigner({ vault: broker, transit });
  const end = { chain: 'acme', seq: 1, hash: Buffer.alloc(32), at: new Date('2026-03-01T12:00:00Z') };
  const checkpoint = await signer.sign(end);
  const [key] = await signer.keys();
  assert.ok(key && isSignedBy(checkpoint, key));
  const kept = createAuditAnchors({ vault: broker, anchors });
  await kept.put(checkpoint, 0);
  await assert.rejects(kept.put({ ...checkpoint, seq: 2 }, 0), { code: 'STORE_CONFLICT' });
  assert.deepEqual(await kept.find('acme'), { checkpoint, version: 1 });
  await kept.put({ ...checkpoint, chain: '' }, 0);

  const authority = createCertificateAuthority({ vault: broker, pki });
  const { csrPem } = await createKeyAndCsr();
  await authority.signCertificate({ role: 'broker', csrPem, uriSan: 'spiffe://media.example/broker' });
  await authority.trustBundle();
});

test('the broker can do nothing more', async (t) => {
  const { csrPem } = await createKeyAndCsr();
  const uris = { csr: csrPem, uri_sans: 'spiffe://media.example/workload/uploader-1' };
  const key = `${transit}/keys/tenant-guarded`;
  const context = 'Y29udGV4dA==';
  const safe = { type: 'aes256-gcm96', derived: true };
  await vault.operator.write(key, safe);
  await vault.operator.write(`${transit}/keys/dpop-guarded`, { type: 'ecdsa-p256' });
  await vault.operator.write(`${kv}/data/guarded`, { data: { client_secret: 'GOCSPX-one' } });
  await vault.operator.write(`sys/mounts/${kv}-other`, { type: 'kv', options: { version: '2' } });

  const read = (path: string) => () => broker.read(path, z.unknown());
  const write =
    (path: string, body = {}) =>
    () =>
      broker.write(path, body);
  const refused: Record<string, () => Promise<unknown>> = {
    'export a key': read(`${transit}/export/encryption-key/tenant-guarded`),
    'back a key up': read(`${transit}/backup/tenant-guarded`),
    'delete a key': () => broker.delete(key),
    'raise the minimum of the audit record’s key': write(`${transit}/keys/audit-checkpoint/config`, {
      min_decryption_version: 1,
    }),
    'raise the minimum of a DPoP key': write(`${transit}/keys/dpop-guarded/config`, { min_decryption_version: 1 }),
    'allow a DPoP key to be deleted': write(`${transit}/keys/dpop-guarded/config`, { deletion_allowed: true }),
    'delete a DPoP key': () => broker.delete(`${transit}/keys/dpop-guarded`),
    'trim a DPoP key': write(`${transit}/keys/dpop-guarded/trim`, { min_available_version: 1 }),
    'make a derived DPoP key': write(`${transit}/keys/dpop-other`, safe),
    'forbid a key to encrypt with old versions': write(`${key}/config`, { min_encryption_version: 1 }),
    'have Vault rotate a key by itself': write(`${key}/config`, { auto_rotate_period: '24h' }),
    'make a key exportable': write(`${key}/config`, { exportable: true }),
    'allow deletion beside a new minimum': write(`${key}/config`, {
      min_decryption_version: 1,
      deletion_allowed: true,
    }),
    'allow deletion': write(`${key}/config`, { deletion_allowed: true }),
    'trim a key': write(`${key}/trim`, { min_available_version: 1 }),
    'import a key': write(`${key}/import`, { ciphertext: 'x' }),
    'create a key that can be exported': write(`${transit}/keys/tenant-open`, { ...safe, exportable: true }),
    'create a key that can be backed up': write(`${transit}/keys/tenant-open`, {
      ...safe,
      allow_plaintext_backup: true,
    }),
    'create a convergent key': write(`${transit}/keys/tenant-open`, { ...safe, convergent_encryption: true }),
    'make a key by encrypting for an unknown tenant': write(`${transit}/encrypt/tenant-unknown`, {
      plaintext: 'eA==',
      context,
    }),
    'list keys': () => broker.list(`${transit}/keys`),
    'rewrap with a key of another name': write(`${transit}/rewrap/other`, { ciphertext: 'vault:v1:x', context }),
    'use a key of another name': write(`${transit}/decrypt/other`, { ciphertext: 'vault:v1:x', context }),
    'sign with a tenant key': write(`${transit}/sign/tenant-guarded`, { input: 'eA==' }),
    'delete the newest client secret': () => broker.delete(`${kv}/data/guarded`),
    'destroy a client secret': write(`${kv}/destroy/guarded`, { versions: [1] }),
    'forget a client secret with all its versions': () => broker.delete(`${kv}/metadata/guarded`),
    'bring a client secret back': write(`${kv}/undelete/guarded`, { versions: [1] }),
    'rotate into a managed key': write(`${key}/rotate`, { managed_key_name: 'other' }),
    'make the key that signs the audit record': write(`${transit}/keys/audit-checkpoint`, { type: 'ecdsa-p256' }),
    'rotate the key that signs the audit record': write(`${transit}/keys/audit-checkpoint/rotate`),
    'delete the key that signs the audit record': () => broker.delete(`${transit}/keys/audit-checkpoint`),
    'delete an anchor': () => broker.delete(`${anchors}/data/guarded`),
    'destroy an anchor': write(`${anchors}/destroy/guarded`, { versions: [1] }),
    'remove an anchor with its versions': () => broker.delete(`${anchors}/metadata/guarded`),
    'list client secrets': () => broker.list(`${kv}/metadata`),
    'read another KV engine': read(`${kv}-other/data/anything`),
    'sign as a workload': write(`${pki}/sign/workload`, uris),
    'have Vault make a key and certificate': write(`${pki}/issue/broker`, { uri_sans: uris.uri_sans }),
    'sign verbatim': write(`${pki}/sign-verbatim/broker`, uris),
    'sign by issuer': write(`${pki}/issuer/default/sign/workload`, uris),
    'change a PKI role': write(`${pki}/roles/broker`, { allow_any_name: true }),
    'revoke a certificate': write(`${pki}/revoke`, { serial_number: '00:11' }),
    'make a workload': write(`auth/${approle}/role/uploader-1`, { token_policies: ['default'] }),
    'issue itself a secret id': write(`auth/${approle}/role/token-broker/secret-id`),
    'make tokens': write('auth/token/create', { policies: [vault.layout.policies.broker] }),
    'read policies': read(`sys/policies/acl/${vault.layout.policies.broker}`),
    'read mounts': read('sys/mounts'),
    'get a person’s identity token': read(`identity/oidc/token/${vault.layout.identity.role}`),
  };
  for (const [act, attempt] of Object.entries(refused)) {
    await t.test(`cannot ${act}`, () => assert.rejects(attempt, { code: 'VAULT_FORBIDDEN' }));
  }
});

test("the broker's token is renewable without end and has no other policy", async () => {
  const accessors = await vault.operator.list('auth/token/accessors');
  const tokens = await Promise.all(
    accessors.map((accessor) =>
      vault.operator
        .write('auth/token/lookup-accessor', { accessor }, z.looseObject({ policies: z.array(z.string()) }))
        .catch(() => undefined),
    ),
  );
  const [token] = tokens.filter((each) => each?.policies.includes(vault.layout.policies.broker));
  assert.ok(token);
  const { policies, renewable, period, type, explicit_max_ttl } = token;
  assert.deepEqual(
    { policies, renewable, period, type, explicit_max_ttl },
    { policies: [vault.layout.policies.broker], renewable: true, period: 3600, type: 'service', explicit_max_ttl: 0 },
  );
});
