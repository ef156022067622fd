/** Three hundred OAuth clients refresh at once, each with its own secret and every other bound by DPoP. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Secret } from '../../broker/domain/secret.ts';
import { createAuthorizationServer } from '../../broker/google/authorization-server.ts';
import { createDpopKeys } from '../../broker/vault/dpop-keys.ts';
import { createOAuthClientSecrets } from '../../broker/vault/oauth-client-secrets.ts';
import { owner, startPracticeWorld, usualScope } from '../support/practice-world.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';

const many = 300;

test('three hundred clients refresh at once with few questions to Vault, and a broken one harms no other', async (t) => {
  const [vault, world] = await Promise.all([useSetUpVault(t), startPracticeWorld(t)]);
  const front = await useVaultFront(t, vault.address);
  const broker = await vault.asBroker({ address: front.address, deadlineMs: 30_000 });
  const { kv, transit } = vault.layout.mounts;
  const clock = { now: () => new Date(world.google.now()) };
  const secrets = createOAuthClientSecrets({ vault: broker, kv, clock });
  const dpopKeys = createDpopKeys({ vault: broker, transit });
  const google = createAuthorizationServer({
    settings: {
      issuer: world.google.endpoints.issuer,
      authorizationUrl: world.google.endpoints.authorization,
      tokenUrl: world.google.endpoints.token,
      revocationUrl: world.google.endpoints.revocation,
      redirectUri: 'http://127.0.0.1:1/callback',
      deadlineMs: 30_000,
    },
    secrets,
    dpopKeys,
    verifyJwt: () => Promise.reject(new Error('no ID token is checked here')),
    clock,
    random: randomBytes,
  });
  const grants = await Promise.all(
    Array.from({ length: many }, async (_, index) => {
      const client = { name: `client-${index}`, clientId: `client-${index}.apps.example`, dpop: index % 2 === 0 };
      world.addClient(client.clientId, { dpop: client.dpop ? 'required' : 'off' });
      if (client.dpop) await dpopKeys.create(client.name);
      // The secret of the first is not in Vault, that of the second is not Google's.
      if (index > 0) {
        await secrets.create(client.name, new Secret(index === 1 ? 'another' : `${client.clientId}-secret`));
      }
      const { refreshToken } = world.google.grant({
        clientId: client.clientId,
        account: owner.email,
        scope: usualScope,
      });
      return { client, refreshToken: new Secret(refreshToken) };
    }),
  );
  const refreshAll = () =>
    Promise.allSettled(
      grants.map(({ client, refreshToken }) => google.refresh(client, refreshToken, client.dpop ? 1 : undefined)),
    );
  const before = front.requests.length;
  const rounds = [await refreshAll(), await refreshAll(), await refreshAll()];

  for (const [first, second, ...others] of rounds) {
    assert.ok(first?.status === 'rejected' && first.reason.code === 'OAUTH_CLIENT_NOT_FOUND');
    assert.ok(second?.status === 'fulfilled' && !second.value.ok && second.value.failure.class === 'client_rejected');
    assert.ok(others.every((result) => result.status === 'fulfilled' && result.value.ok));
  }
  const reads = front.requests.slice(before).filter((line) => line.startsWith(`GET ${kv}/data/client-`));
  const keyReads = front.requests.slice(before).filter((line) => line.startsWith(`GET ${transit}/keys/dpop-`));
  t.diagnostic(
    `${rounds.length * many} refreshes: ${reads.length} reads of secrets, ${keyReads.length} of public keys`,
  );
  // One read for each that has a secret; the two broken ones are asked for again, and no other.
  const once = (lines: readonly string[], client: number) =>
    lines.filter((line) => line.endsWith(`/client-${client}`)).length;
  for (let client = 2; client < many; client += 1) assert.equal(once(reads, client), 1, `client-${client}`);
  assert.ok(keyReads.length <= many / 2, `${keyReads.length} reads of public keys`);
});
