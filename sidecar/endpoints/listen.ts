/** Opens a local HTTP server with small limits. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loopbackHosts } from './local-request.ts';

/** An address to listen on; port 0 takes a free one. */
export interface ListenAddress {
  /** As in a URL: `127.0.0.1` or `[::1]`. */
  readonly host: string;
  readonly port: number;
}

/** One that only programs of this machine reach. */
export type LoopbackAddress = ListenAddress;

export interface Listener {
  /** `http://HOST:PORT` */
  readonly url: string;
  /** Lets the requests on their way end, for a moment. */
  close(): Promise<void>;
}

const limits = {
  maxHeaderSize: 8_192,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 60_000,
};
const MOST_CONNECTIONS = 1_024;
const CLOSE_WITHIN_MS = 3_000;

/**
 * Opens the server.
 *
 * @param endpoint Makes the request listener, given the names under which it may be called.
 * @throws Error naming the address, when it is taken or not to be had.
 */
export function listen(
  { host, port }: ListenAddress,
  endpoint: (hosts: ReadonlySet<string>) => RequestListener,
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer(limits);
    server.maxConnections = MOST_CONNECTIONS;
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program has it' : 'it cannot be had on this machine';
      reject(new Error(`cannot listen on ${host}:${port}: ${why}`, { cause }));
    });
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, () => {
      const taken = (server.address() as AddressInfo).port;
      server.on('request', endpoint(loopbackHosts(host, taken)));
      const close = () =>
        new Promise<void>((closed) => {
          const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
          server.close(() => {
            clearTimeout(impatience);
            closed();
          });
        });
      resolve({ url: `http://${host}:${taken}`, close });
    });
  });
}

/** Tells whether only programs of this machine reach the address. */
export function isLoopback({ host }: ListenAddress): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|\[::1\])$/.test(host);
}
