/** docs/operating.md names the metrics that are counted, with their labels. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '../../broker/observability/metrics.ts';
import { named, readDocument, tableOf } from '../support/documents.ts';

test('docs/operating.md lists our metrics and their labels', async () => {
  const metrics = createMetrics();
  metrics.refreshed('ok');
  metrics.notAdmitted('uploads', 'rate');
  metrics.breaker('uploads', true);
  metrics.openIncidents([{ oauthClient: 'uploads', kind: 'client_rejected' }]);
  metrics.securityEvent('verification');
  metrics.tokenRequested('ok');
  metrics.connectionRefused('too_slow');
  metrics.subscriptionEnded('ok');
  metrics.certificateEnds(new Date(0));
  metrics.notified('delivered');
  metrics.rowsToRewrap('acme', 0);
  metrics.keyFault('acme', false);
  metrics.spooledTokens(() => 0);
  metrics.connections(() => ({ proven: 0, unproven: 0 }));
  metrics.revocationLists({ fetchedAt: () => undefined, nextUpdate: () => undefined });
  metrics.recorded('spool', 1);
  // A histogram is one metric to its reader: its count stands for it.
  const lines = (await metrics.text())
    .split('\n')
    .filter((line) => /^token_broker_(?!\w+_(?:bucket|sum)\b)/.test(line))
    .map((line) => line.replace(/_count(?=[ {])/, ''));
  const counted = lines.map((line) => [line.replace(/[ {].*/, ''), /\{(\w+)=/.exec(line)?.[1] ?? '']);
  const documented = tableOf(readDocument('docs/operating.md'), 'Metrics').map(([name, label]) => [
    named(name),
    named(label),
  ]);
  assert.deepEqual(documented, counted);
});
