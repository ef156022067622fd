/** The delivery of notifications on a real database, with a clock that a test moves. */
import { randomBytes, randomUUID } from 'node:crypto';
import { Secret } from '../../broker/domain/secret.ts';
import { createDeliverNotification, type DeliverDeps } from '../../broker/flow/deliver-notification.ts';
import { createNotificationLoop, type NotificationLoop } from '../../broker/flow/notification-loop.ts';
import { createReceiverBreaker } from '../../broker/flow/receiver-breaker.ts';
import { createTellExpiring } from '../../broker/flow/tell-expiring.ts';
import type { Clock, NotificationReceiver, Store } from '../../broker/ports.ts';
import { createNotificationReceiver } from '../../broker/webhook/receiver.ts';
import type { Scope } from './scope.ts';
import { atEnd } from './scope.ts';
import type { WebhookReceiver } from './webhook-receiver.ts';

export const signingSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const day = 86_400_000;

export interface NotifierParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly receiver: NotificationReceiver;
  readonly signingSecrets?: DeliverDeps['signingSecrets'];
  readonly onFault?: (error: unknown) => void;
  readonly onReceiver?: (isDown: boolean) => void;
  readonly randomFraction?: () => number;
}

/** The loop as `broker.ts` wires it; `results` are those of the tries. */
export function createNotifier(parts: NotifierParts): NotificationLoop & { readonly results: string[] } {
  const results: string[] = [];
  const deps = {
    random: randomBytes,
    randomFraction: () => 0,
    newRequestId: randomUUID,
    linkTtlMs: 3 * day,
    publicUrl: 'https://broker.example.com',
    deliveryLeaseMs: 60_000,
    retryForMs: 5 * day,
    deliveryConcurrency: 4,
    onReceiver: () => {},
    signingSecrets: {
      current: async () => [new Secret(signingSecret)],
      replace: async () => undefined,
    },
    onDelivery: (result: string) => void results.push(result),
    ...parts,
  };
  const { store, clock } = parts;
  const loop = createNotificationLoop({
    ...deps,
    deliver: createDeliverNotification({ ...deps, receiver: createReceiverBreaker(deps) }),
    tellExpiring: createTellExpiring({
      store,
      clock,
      expiring: { testingLeadMs: 2 * day, idleLeadMs: 30 * day, mostGrants: 90 },
    }),
    sleep: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    onFault: parts.onFault ?? ((error) => results.push(String(error))),
  });
  return { ...loop, results };
}

/** Our end of the connection to a receiver on this machine. */
export function useReceiver(
  scope: Scope,
  { url, caPem }: Pick<WebhookReceiver, 'url' | 'caPem'>,
  change: Partial<Parameters<typeof createNotificationReceiver>[0]> = {},
): NotificationReceiver {
  const receiver = createNotificationReceiver({
    url,
    allowedNetworks: ['127.0.0.0/8'],
    caCertPem: caPem,
    deadlineMs: 60_000,
    concurrency: 4,
    version: 'test',
    ...change,
  });
  atEnd(scope, () => receiver.close());
  return receiver;
}

/** A clock that stands still until it is moved. */
export function aClock(start: Date): Clock & { advance(ms: number): void } {
  let now = start.getTime();
  return {
    now: () => new Date(now),
    advance(ms) {
      now += ms;
    },
  };
}
