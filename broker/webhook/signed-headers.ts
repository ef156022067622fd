/** Standard Webhooks: who it is from, proven by HMAC-SHA-256 over id, time and body. The only place that imports the package. */
import { Webhook } from 'standardwebhooks';
import type { OutgoingNotification } from '../ports.ts';

/** The headers of a signed message: one signature for each secret, the newest first. */
export function signedHeaders({ id, at, body, secrets }: OutgoingNotification): Readonly<Record<string, string>> {
  const signatures = secrets.map((secret) => new Webhook(secret.reveal()).sign(id, at, body.reveal()));
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': signatures.join(' '),
  };
}
