import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../sidecar/operations/metrics.ts';
import type { HeldChannel } from '../../sidecar/token-source.ts';

const now = () => 1_000_000;

/** The series of a metric, as label text → value. */
async function series(metrics: ReturnType<typeof createMetrics>, name: string): Promise<Record<string, number>> {
  const lines = (await metrics.text()).matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'));
  return Object.fromEntries([...lines].map(([, labels = '', value]) => [labels.replaceAll('"', ''), Number(value)]));
}

function holding(channelId: string, expiresAt: number): HeldChannel {
  return {
    channelId,
    served: { token: { channelId, accessToken: 'ya29.canary', expiresAt }, stale: undefined },
    problem: undefined,
  } as unknown as HeldChannel;
}

test('counts requests by interface, code and client, and tokens by where they came from', async () => {
  const metrics = createMetrics(now);
  for (let count = 0; count < 3; count += 1) metrics.answered('gce', 'ok', 'python', 'memory');
  metrics.answered('native', 'CALLER_REFUSED', 'other', 'none');
  metrics.answered('native', 'ok', 'node', 'stale');
  assert.deepEqual(await series(metrics, 'token_sidecar_requests_total'), {
    'interface=gce,code=ok,client=python': 3,
    'interface=native,code=CALLER_REFUSED,client=other': 1,
    'interface=native,code=ok,client=node': 1,
  });
  assert.deepEqual(await series(metrics, 'token_sidecar_tokens_given_total'), { 'from=memory': 3, 'from=stale': 1 });
  // Asked again, it tells the same.
  assert.deepEqual(await series(metrics, 'token_sidecar_tokens_given_total'), { 'from=memory': 3, 'from=stale': 1 });
});

test('tells how long certificate and tokens live, and nothing where there are none', async () => {
  const metrics = createMetrics(now);
  assert.deepEqual(await series(metrics, 'token_sidecar_svid_seconds_left'), {});
  let ends: number | undefined;
  let held: readonly HeldChannel[] = [];
  metrics.watch({ svidEnds: () => ends, channels: () => held, silence: () => 2_500 });
  ends = now() + 60_000;
  held = [holding('ch_b', now() + 90_000), holding('ch_a', now() + 30_000)];
  assert.deepEqual(await series(metrics, 'token_sidecar_svid_seconds_left'), { '': 60 });
  assert.deepEqual(await series(metrics, 'token_sidecar_token_seconds_left'), {
    'channel=ch_a': 30,
    'channel=ch_b': 90,
  });
  assert.deepEqual(await series(metrics, 'token_sidecar_tokens_held'), { '': 2 });
  assert.deepEqual(await series(metrics, 'token_sidecar_broker_silence_seconds'), { '': 2.5 });
  held = [];
  assert.deepEqual(await series(metrics, 'token_sidecar_token_seconds_left'), {});
  assert.ok(!(await metrics.text()).includes('canary'));
});

test('makes no series of codes without end, nor of words that are no codes', async () => {
  const metrics = createMetrics(now);
  for (let number = 0; number < 1_000; number += 1) metrics.brokerAnswered(`CODE_${number}`, 0.01);
  for (const odd of ['ya29.canary', 'no code', '', 'X'.repeat(100)]) metrics.rotated(odd);
  const codes = await series(metrics, 'token_sidecar_broker_call_seconds_count');
  assert.ok(Object.keys(codes).length <= 101);
  assert.ok((codes['code=other'] ?? 0) >= 900);
  assert.deepEqual(await series(metrics, 'token_sidecar_svid_rotations_total'), { 'result=other': 4 });
});

test('makes no series for channels beyond a thousand: those that end first have one', async () => {
  const metrics = createMetrics(now);
  const held = Array.from({ length: 1_500 }, (_, number) => holding(`ch_${number}`, now() + (1_500 - number) * 1_000));
  metrics.watch({ svidEnds: () => undefined, channels: () => held, silence: () => 0 });
  const left = await series(metrics, 'token_sidecar_token_seconds_left');
  assert.equal(Object.keys(left).length, 1_000);
  assert.equal(Math.max(...Object.values(left)), 1_000);
  assert.deepEqual(await series(metrics, 'token_sidecar_tokens_held'), { '': 1_500 });
});
