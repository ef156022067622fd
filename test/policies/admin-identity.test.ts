import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { z } from 'zod';
import { tokenLogin } from '../../broker/vault/login.ts';
import { createPerson } from '../support/vault-people.ts';
import { connect, useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const { layout, address } = vault;
const unique = layout.mounts.approle;
const anna = await createPerson(vault, { name: `anna-${unique}`, groups: [`acme-${unique}`, `ops-${unique}`] });

/** Verifies as the broker does: issuer and key set from the discovery document. */
async function verify(token: string) {
  const response = await fetch(`${address}/v1/identity/oidc/.well-known/openid-configuration`);
  const discovery = z.object({ issuer: z.url(), jwks_uri: z.url() }).parse(await response.json());
  assert.equal(discovery.issuer, `${address}/v1/identity/oidc`);
  const keys = createRemoteJWKSet(new URL(discovery.jwks_uri));
  return jwtVerify(token, keys, { issuer: discovery.issuer, audience: 'token-broker', algorithms: ['ES256'] });
}

test('a person’s identity token verifies with the public key set, and names the person and the groups', async () => {
  const token = await anna.identityToken();
  const { payload } = await verify(token);
  assert.equal(decodeProtectedHeader(token).alg, 'ES256');
  assert.equal(payload.sub, anna.subject);
  assert.equal(payload.name, `anna-${unique}`);
  assert.deepEqual([...z.array(z.string()).parse(payload.groups)].sort(), [`acme-${unique}`, `ops-${unique}`]);
  assert.equal(Number(payload.exp) - Number(payload.iat), 30 * 60);
});

test('a person in no group has a token all the same, with groups that are empty or null', async () => {
  const ben = await createPerson(vault, { name: `ben-${unique}`, groups: [] });
  const { payload } = await verify(await ben.identityToken());
  assert.deepEqual(payload.groups ?? [], []);
});

test('a token that was changed does not verify', async () => {
  const [header, , signature] = (await anna.identityToken()).split('.');
  const forged = Buffer.from(JSON.stringify({ sub: anna.subject, groups: ['root'] })).toString('base64url');
  await assert.rejects(verify(`${header}.${forged}.${signature}`));
});

test('a person can get an identity token and touch nothing of the broker', async (t) => {
  const person = connect(t, { address, login: tokenLogin(await anna.logIn()) });
  await person.read(`identity/oidc/token/${layout.identity.role}`, z.object({ token: z.string() }));
  const { transit, kv, pki, approle } = layout.mounts;
  const refused = [
    () => person.write(`${transit}/decrypt/tenant-acme`, { ciphertext: 'vault:v1:x' }),
    () => person.read(`${kv}/data/web`, z.unknown()),
    () => person.write(`${pki}/sign/workload`, {}),
    () => person.write(`auth/${approle}/role/token-broker/secret-id`, {}),
    () => person.write(`identity/oidc/role/${layout.identity.role}`, { key: layout.identity.key }),
  ];
  for (const attempt of refused) await assert.rejects(attempt, { code: 'VAULT_FORBIDDEN' });
});

test('a token without an entity gets no identity', async () => {
  const nobody = await vault.withPolicy(layout.policies['admin-identity']);
  const path = `identity/oidc/token/${layout.identity.role}`;
  await assert.rejects(nobody.read(path, z.unknown()), { code: 'INTERNAL', detail: /^400/ });
});
