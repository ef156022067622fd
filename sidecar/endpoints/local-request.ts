/**
 * Tells a request of a local program from one that something else was tricked into: a web page (needs the header, may
 * carry `Origin` or `Sec-Fetch-*`), a name that an attacker's DNS points at loopback (needs a literal `Host`), a proxy
 * or a server-side request forgery (may carry forwarding headers). Accepted limit: any local program that tries can
 * send all of this; who is at the other end of the socket is a question for the operating system, not for headers.
 */
import type { IncomingMessage } from 'node:http';
import type { OwnCode } from '../errors.ts';

/** Node's own `fetch` sends this one alone; a browser never sends it without `Sec-Fetch-Site` (W3C Fetch Metadata). */
const SENT_BY_NODE = 'sec-fetch-mode';

/** What a local interface demands of each request. */
export interface LocalRules {
  /** `HOST:PORT` as a client on this machine writes it, in lower case. */
  readonly hosts: ReadonlySet<string>;
  /** Header in lower case and its only value; undefined where none is needed. */
  readonly header: readonly [name: string, value: string] | undefined;
}

/** The parts of a request that decide. */
export type LocalRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers'>;

/** The names under which a loopback address may be called, with the port of the listener. */
export function loopbackHosts(host: string, port: number): ReadonlySet<string> {
  const names = [host, '127.0.0.1', 'localhost', '[::1]'];
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])));
}

/** Tells why the request is refused; undefined where it is not. */
export function refusalOf(request: LocalRequest, { hosts, header }: LocalRules): OwnCode | undefined {
  const { headers } = request;
  if (request.method !== 'GET' && request.method !== 'HEAD') return 'METHOD_NOT_ALLOWED';
  // A proxy is asked with a whole URL.
  if (!request.url?.startsWith('/')) return 'FORWARDED_REFUSED';
  if (!hosts.has(headers.host?.toLowerCase() ?? '')) return 'HOST_REFUSED';
  for (const name in headers) {
    if (name === 'origin' || (name.startsWith('sec-fetch-') && name !== SENT_BY_NODE)) return 'BROWSER_REFUSED';
    if (name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-')) return 'FORWARDED_REFUSED';
    if (name === 'transfer-encoding' || (name === 'content-length' && headers[name] !== '0')) return 'BODY_REFUSED';
  }
  if (header && headers[header[0]] !== header[1]) return 'HEADER_REQUIRED';
  return undefined;
}
