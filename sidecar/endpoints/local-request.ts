/**
 * Tells a request of a local program from one that something else was tricked into: a web page (needs the header, may
 * carry `Origin` or `Sec-Fetch-*`), a name that an attacker's DNS points at loopback (needs a literal `Host`), a proxy
 * or a server-side request forgery (may carry forwarding headers). Any local program that tries can send all of this;
 * who is at the other end of the socket is a question for the operating system (`callers/`), not for headers.
 */
import type { IncomingMessage } from 'node:http';
import type { OwnCode } from '../errors.ts';

/** Node's own `fetch` sends this one alone; a browser never sends it without `Sec-Fetch-Site` (W3C Fetch Metadata). */
const SENT_BY_NODE = 'sec-fetch-mode';
/** Of a POST: a form of Google's libraries has some hundred bytes. */
export const LONGEST_BODY = 4_096;

/** What a local interface demands of each request. */
export interface LocalRules {
  /** `HOST:PORT` as a client on this machine writes it, in lower case. */
  readonly hosts: ReadonlySet<string>;
  /** Header in lower case and its only value; undefined where none is needed. */
  readonly header: readonly [name: string, value: string] | undefined;
  /** Whether it is to be a POST, with a body; GET and HEAD without one by default. */
  readonly post?: boolean;
}

/** The parts of a request that decide. */
export type LocalRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers'>;

/** The names under which a loopback address may be called, with the port of the listener. */
export function loopbackHosts(host: string, port: number): ReadonlySet<string> {
  const names = [host, '127.0.0.1', 'localhost', '[::1]'];
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])));
}

/** The names under which a Unix socket is called: clients differ in what they write where there is no address. */
export const socketHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', 'sidecar']);

/** Tells why the request is refused; undefined where it is not. */
export function refusalOf(request: LocalRequest, { hosts, header, post = false }: LocalRules): OwnCode | undefined {
  const { headers, method } = request;
  if (post ? method !== 'POST' : method !== 'GET' && method !== 'HEAD') return 'METHOD_NOT_ALLOWED';
  // A proxy is asked with a whole URL.
  if (!request.url?.startsWith('/')) return 'FORWARDED_REFUSED';
  if (!hosts.has(headers.host ?? '') && !hosts.has(headers.host?.toLowerCase() ?? '')) return 'HOST_REFUSED';
  for (const name in headers) {
    if (name === 'origin' || (name.startsWith('sec-fetch-') && name !== SENT_BY_NODE)) return 'BROWSER_REFUSED';
    if (name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-')) return 'FORWARDED_REFUSED';
    if (name === 'transfer-encoding') return 'BODY_REFUSED';
    if (name === 'content-length' && Number(headers[name]) > (post ? LONGEST_BODY : 0)) return 'BODY_REFUSED';
  }
  if (header && headers[header[0]] !== header[1]) return 'HEADER_REQUIRED';
  return undefined;
}
