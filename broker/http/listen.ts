import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server that answers. */
export interface Listening {
  readonly host: string;
  /** The port it got, also where 0 was asked for. */
  readonly port: number;
  /** Takes no new request, lets those under way end for a few seconds, then cuts them. */
  close(): Promise<void>;
}

const graceMs = 5_000;

/** Serves plain HTTP. Throws the system's error (EADDRINUSE, EACCES) where the address cannot be had. */
export async function listen(handler: RequestListener, at: { host: string; port: number }): Promise<Listening> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, handler);
  server.listen(at.port, at.host);
  await once(server, 'listening');
  return {
    host: at.host,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}
