/**
 * Sends notifications to the notification service: HTTPS to an address that is allowed, no proxy, no redirect, one deadline
 * for all of it, and next to nothing of the answer is read: the status is all that counts, and what a receiver says may
 * hold the link that it was sent.
 */
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { DeliveryProblem, NotificationReceiver, OutgoingNotification } from '../ports.ts';
import { AddressRefused, guardedLookup, mayConnectTo } from './public-addresses.ts';
import { signedHeaders } from './signed-headers.ts';

/** More of an answer is not read: the connection is closed instead. */
const mostAnswerBytes = 4_096;

export interface ReceiverSettings {
  /** `https://…` */
  readonly url: string;
  /** Networks that are allowed beside the public internet. */
  readonly allowedNetworks: readonly string[];
  /** Authorities to trust instead of the system's. */
  readonly caCertPem?: string | undefined;
  /** From the look-up of the name to the status of the answer. */
  readonly deadlineMs: number;
  /** The most connections. */
  readonly concurrency: number;
  readonly version: string;
  /** The system's, where absent. */
  readonly lookup?: LookupFunction;
}

export function createNotificationReceiver(settings: ReceiverSettings): NotificationReceiver & { close(): void } {
  const { url, deadlineMs, version } = settings;
  const mayConnect = mayConnectTo(settings.allowedNetworks);
  // A host that is an address is never looked up.
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const agent = new Agent({
    keepAlive: true,
    maxSockets: settings.concurrency,
    ...(settings.caCertPem && { ca: settings.caCertPem }),
    lookup: guardedLookup(mayConnect, settings.lookup),
  });

  function post(outgoing: OutgoingNotification): Promise<DeliveryProblem | undefined> {
    if (isIP(host) !== 0 && !mayConnect(host)) return Promise.resolve({ problem: 'address_refused' });
    const { promise, resolve } = Promise.withResolvers<DeliveryProblem | undefined>();
    const signal = AbortSignal.timeout(deadlineMs);
    const body = Buffer.from(outgoing.body.reveal());
    const headers = {
      ...signedHeaders(outgoing),
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'content-length': body.length,
      'user-agent': `token-broker/${version}`,
    };
    const sent = request(url, { method: 'POST', agent, headers, signal }, (answer) => {
      readLittle(answer);
      resolve(verdictOn(answer));
    });
    sent.on('error', (error) => resolve({ problem: signal.aborted ? 'timed_out' : problemOf(error) }));
    // Also where there was neither an answer nor an error: Node closes a connection that is switched to another protocol (101).
    sent.on('close', () => resolve({ problem: 'unreachable' }));
    sent.end(body);
    return promise;
  }

  return {
    send: (outgoing) => post(outgoing).catch((error: unknown) => ({ problem: problemOf(error) })),
    close: () => agent.destroy(),
  };
}

function readLittle(answer: IncomingMessage): void {
  let read = 0;
  answer.on('data', (chunk: Buffer) => {
    read += chunk.length;
    if (read > mostAnswerBytes) answer.destroy();
  });
  // The verdict is known by now.
  answer.on('error', () => {});
}

function verdictOn({ statusCode: status = 0, headers }: IncomingMessage): DeliveryProblem | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) return { problem: 'redirect', status };
  if (status === 410) return { problem: 'gone', status };
  return { problem: 'status', status, retryAfter: secondsIn(headers['retry-after']) };
}

/** Only seconds: a date would have to be trusted to be of our clock. */
function secondsIn(retryAfter: string | undefined): number | undefined {
  return retryAfter !== undefined && /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) : undefined;
}

function problemOf(error: unknown): DeliveryProblem['problem'] {
  if (error instanceof AddressRefused) return 'address_refused';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EADDRESSREFUSED') return 'address_refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'name_not_found';
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|EPROTO)/.test(code)) return 'tls';
  return 'unreachable';
}
