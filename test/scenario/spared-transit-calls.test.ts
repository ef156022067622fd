/** What a read of a token costs Vault, counted at Vault's front. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useRedis } from '../support/redis.ts';
import { useVaultFront } from '../support/vault-front.ts';
import { useSetUpVault } from '../support/vault-set-up.ts';
import { useWorkload } from '../support/workload.ts';
import { useWorld } from '../support/world.ts';

const reads = 10_000;

// On a machine that does much else, so many calls over mTLS take longer than a test usually may.
test('ten thousand reads of valid tokens cost no call of transit', { timeout: 240_000 }, async (t) => {
  const vault = await useSetUpVault(t);
  const front = await useVaultFront(t, vault.address);
  const world = await useWorld(t, {
    vault: { ...vault, address: front.address },
    redisUrl: (await useRedis(t)).url,
    settings: {
      // Vault names itself by its own address.
      BROKER_OIDC_ISSUER: `${vault.address}/v1/identity/oidc`,
      // What looks at keys and signs the record in the background is no part of a read.
      BROKER_KEY_POLL_INTERVAL: '24h',
      BROKER_AUDIT_CHECKPOINT_INTERVAL: '24h',
      BROKER_AUDIT_CHECKPOINT_RECORDS: '1000000',
    },
  });
  const channels = [await world.connectedChannel('one'), await world.connectedChannel('two')];
  const workload = await useWorkload(t, world, { reads: channels });
  const transit = () => front.requests.filter((line) => line.includes(`${vault.layout.mounts.transit}/`)).length;
  await world.broker.checkpointDue();
  const before = transit();
  assert.ok(before > 0, 'the consents called transit, and the front saw it');

  let left = reads;
  const reader = async () => {
    while (left > 0) {
      left -= 1;
      await workload.getAccessToken({ channelId: channels[left % channels.length] ?? '', reason: 'upload' });
    }
  };
  await Promise.all(Array.from({ length: 100 }, reader));
  const calls = transit() - before;
  t.diagnostic(`${reads} reads: ${calls} calls of transit, ratio ${calls / reads}`);
  assert.deepEqual(front.requests.filter((line) => line.includes(`${vault.layout.mounts.transit}/`)).slice(before), []);

  const counts = await (await fetch(`${world.broker.operationsUrl}/metrics`)).text();
  assert.match(counts, new RegExp(`^token_broker_token_requests_total\\{result="ok"\\} ${reads}$`, 'm'));
});
