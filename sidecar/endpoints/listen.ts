/** Opens a local HTTP server with small limits. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { SidecarError } from '../errors.ts';
import { sidecarError } from '../errors.ts';
import type { Answer } from './answer.ts';
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

/** What a server does beside answering requests. */
export interface ServerOptions {
  /** Told of each connection as it opens. */
  readonly greet?: (socket: Socket) => void;
  /** How to refuse what is no HTTP, and comes before any request. */
  readonly answerError?: (error: SidecarError) => Answer;
}

/** A header for a token has some hundred bytes; whoever sends slowly is cut off within seconds. */
const limits = {
  maxHeaderSize: 8_192,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
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
  options: ServerOptions = {},
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createLocalServer(options);
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program has it' : 'it cannot be had on this machine';
      reject(new Error(`cannot listen on ${host}:${port}: ${why}`, { cause }));
    });
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port }, () => {
      const taken = (server.address() as AddressInfo).port;
      server.on('request', endpoint(loopbackHosts(host, taken)));
      resolve({ url: `http://${host}:${taken}`, close: () => closeServer(server) });
    });
  });
}

/** Tells whether only programs of this machine reach the address. */
export function isLoopback({ host }: ListenAddress): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|\[::1\])$/.test(host);
}

/** Makes the server, with its limits, before it listens. */
export function createLocalServer({ greet, answerError }: ServerOptions): Server {
  const server = createServer(limits);
  server.maxConnections = MOST_CONNECTIONS;
  // Beyond a number of headers Node drops them without a word, and one that must be refused could be among those.
  server.maxHeadersCount = 0;
  if (greet) server.on('connection', greet);
  // Node would answer `Expect` by itself; here it is a header like others.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', (_request, socket: Socket) => end(socket, sidecarError('METHOD_NOT_ALLOWED'), answerError));
  server.on('clientError', (_error, socket) => end(socket as Socket, sidecarError('INVALID_REQUEST'), answerError));
  return server;
}

/** Closes the server; resolves when the last connection has gone. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((closed) => {
    const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_WITHIN_MS);
    server.close(() => {
      clearTimeout(impatience);
      closed();
    });
  });
}

/** Answers where there is no request that a response could belong to. */
function end(socket: Socket, error: SidecarError, answerError: ServerOptions['answerError']): void {
  if (!socket.writable) return void socket.destroy();
  const { headers = [], body = Buffer.alloc(0) } = answerError?.(error) ?? {};
  let head = `HTTP/1.1 ${error.http} ${error.code}\r\nConnection: close\r\n`;
  for (let at = 0; at < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`;
  socket.end(Buffer.concat([Buffer.from(`${head}\r\n`), body]));
}
