import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose';
import type { DpopJwk } from '../../broker/ports.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const vault = await useSetUpVault({ after });
const keys = createDpopKeys({ vault: await vault.asBroker(), transit: vault.layout.mounts.transit });

async function signedProof(client: string, version: number, jwk: DpopJwk): Promise<string> {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk })}.${part({ htm: 'POST', jti: 'one' })}`;
  return `${input}.${await keys.sign(client, version, input)}`;
}

test('a proof signed in transit verifies with the public key', async () => {
  await keys.create('web');
  const { version, jwk } = await keys.current('web');
  assert.equal(version, 1);
  const proof = await signedProof('web', version, jwk);
  const { payload } = await compactVerify(proof, await importJWK({ ...jwk }, 'ES256'));
  assert.match(Buffer.from(payload).toString(), /"jti":"one"/);
});

test('an older version still signs after a rotation, and only its own public key verifies it', async () => {
  await keys.create('rotated');
  const first = await keys.current('rotated');
  await vault.operator.write(`${vault.layout.mounts.transit}/keys/dpop-rotated/rotate`, {});
  const second = await keys.current('rotated');
  assert.equal(second.version, 2);
  assert.notEqual(await calculateJwkThumbprint({ ...first.jwk }), await calculateJwkThumbprint({ ...second.jwk }));
  assert.deepEqual(await keys.publicKey('rotated', 1), first.jwk);

  const proof = await signedProof('rotated', 1, first.jwk);
  await compactVerify(proof, await importJWK({ ...first.jwk }, 'ES256'));
  await assert.rejects(compactVerify(proof, await importJWK({ ...second.jwk }, 'ES256')));
});

test('creating a key twice leaves the first one in place', async () => {
  await keys.create('twice');
  const { jwk } = await keys.current('twice');
  await keys.create('twice');
  assert.deepEqual((await keys.current('twice')).jwk, jwk);
});

test('a version that is not there is said to be missing', async () => {
  await keys.create('young');
  await assert.rejects(keys.publicKey('young', 7), { code: 'INTERNAL', detail: /no version 7/ });
});
