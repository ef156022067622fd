import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAuthority, SERVER_AUTH } from './certificates.ts';

export interface TlsGateway extends AsyncDisposable {
  readonly url: string;
}

/** A gateway as they stand in front of the broker: ends TLS for `localhost` and adds `X-Forwarded-For`. */
export async function startTlsGateway(target: () => string): Promise<TlsGateway> {
  const authority = await createAuthority();
  const own = await authority.issue({ subject: 'CN=localhost', extendedKeyUsage: [SERVER_AUTH] });
  const server = createServer({ cert: own.certificatePem, key: own.privateKeyPem }, (incoming, outgoing) => {
    const headers = { ...incoming.headers, 'x-forwarded-for': incoming.socket.remoteAddress };
    const { method } = incoming;
    const onward = request(`${target()}${incoming.url}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
