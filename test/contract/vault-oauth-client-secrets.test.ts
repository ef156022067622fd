import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
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
const secrets = createOAuthClientSecrets({ vault: await vault.asBroker(), kv: vault.layout.mounts.kv, clock });
const read = async (client: string) =>
  [await secrets.newest(client), ...(await secrets.former(client))].map(({ secret }) => secret.reveal());

test('a stored secret is read back', async () => {
  await secrets.create('web', new Secret('GOCSPX-one'));
  assert.deepEqual(await read('web'), ['GOCSPX-one']);
});

test('a secret that is there is never overwritten', async () => {
  await secrets.create('taken', new Secret('GOCSPX-one'));
  await assert.rejects(secrets.create('taken', new Secret('GOCSPX-two')), { code: 'ALREADY_EXISTS' });
  assert.deepEqual(await read('taken'), ['GOCSPX-one']);
});

test('of many who create the same at once, one wins and the others hear so', async () => {
  const results = await Promise.allSettled(
    ['a', 'b', 'c', 'd'].map((text) => secrets.create('race', new Secret(text))),
  );
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.code, 'ALREADY_EXISTS');
});

test('after an operator replaced it, the new one comes first and the former second, until it is destroyed', async () => {
  await secrets.create('replaced', new Secret('GOCSPX-one'));
  const { kv } = vault.layout.mounts;
  await vault.operator.write(`${kv}/data/replaced`, { data: { client_secret: 'GOCSPX-two' } });
  assert.deepEqual(await read('replaced'), ['GOCSPX-two', 'GOCSPX-one']);
  await vault.operator.write(`${kv}/destroy/replaced`, { versions: [1] });
  assert.deepEqual(await read('replaced'), ['GOCSPX-two']);
});

test('a client without a secret is not found, also where its secret was deleted', async () => {
  await assert.rejects(secrets.newest('unknown'), { code: 'OAUTH_CLIENT_NOT_FOUND' });
  await secrets.create('gone', new Secret('GOCSPX-one'));
  await vault.operator.delete(`${vault.layout.mounts.kv}/data/gone`);
  await assert.rejects(secrets.newest('gone'), { code: 'OAUTH_CLIENT_NOT_FOUND' });
});
