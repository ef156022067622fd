/** A notification service: HTTPS with an authority of its own, and a memory. It checks signatures by itself, not by our library. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createAuthority, SERVER_AUTH } from './certificates.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

export interface Message {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly id: string;
  readonly event: CloudEvent;
}

export interface CloudEvent {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>> & {
    readonly consent_link?: { readonly url: string; readonly expires_at: string } | null;
  };
}

export interface WebhookReceiver {
  /** `https://localhost:…` */
  readonly url: string;
  readonly caPem: string;
  readonly caFile: string;
  /** What arrived, whatever was answered. */
  readonly received: readonly Message[];
  /** The most requests that were open at the same time. */
  readonly mostOpen: () => number;
  /** Says what is answered from now on; 204 at first. What never ends the answer hangs. */
  answerWith(answer: (response: ServerResponse, message: Message) => void): void;
}

export async function useWebhookReceiver(scope: Scope): Promise<WebhookReceiver> {
  const authority = await createAuthority();
  const own = await authority.issue({ subject: 'CN=localhost', extendedKeyUsage: [SERVER_AUTH] });
  const received: Message[] = [];
  let open = 0;
  let mostOpen = 0;
  let answer: Parameters<WebhookReceiver['answerWith']>[0] = (response) => response.writeHead(204).end();
  const server = createServer({ cert: own.certificatePem, key: own.privateKeyPem }, async (request, response) => {
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    response.on('close', () => {
      open -= 1;
    });
    const body = await text(request).catch(() => undefined);
    if (body === undefined) return;
    const id = String(request.headers['webhook-id']);
    const message = { headers: request.headers, body, id, event: JSON.parse(body) as CloudEvent };
    received.push(message);
    answer(response, message);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(scope, async () => {
    server.close();
    server.closeAllConnections();
  });
  const caFile = join(await useFolder(scope), 'webhook-ca.pem');
  await writeFile(caFile, authority.certificatePem);
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}/hooks`,
    caPem: authority.certificatePem,
    caFile,
    received,
    mostOpen: () => mostOpen,
    answerWith(next) {
      answer = next;
    },
  };
}

/** Which of the secrets (`whsec_…`) a message is signed with, by the words of the specification. */
export function signersOf({ headers, body, id }: Message, secrets: readonly string[]): readonly string[] {
  const content = `${id}.${headers['webhook-timestamp']}.${body}`;
  const signatures = String(headers['webhook-signature'])
    .split(' ')
    .map((signature) => signature.split(','));
  return secrets.filter((secret) => {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    const wanted = createHmac('sha256', key).update(content).digest();
    return signatures.some(([version, signature = '']) => {
      const given = Buffer.from(signature, 'base64');
      return version === 'v1' && given.length === wanted.length && timingSafeEqual(given, wanted);
    });
  });
}
