import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { atEnd, type Scope } from './scope.ts';

/**
 * Stands before a PostgreSQL and, once armed, passes the next COMMIT on and cuts the connection when its answer comes: what
 * was committed is done, and nobody was told.
 */
export async function useCommitCutter(scope: Scope, target: string): Promise<{ readonly url: string; arm(): void }> {
  const url = new URL(target);
  const behind = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  let armed = false;
  const proxy = createServer((client) => {
    const server = connect(behind);
    let cuts = false;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (data) => {
      if (armed && data.includes('commit')) {
        armed = false;
        cuts = true;
      }
      server.write(data);
    });
    server.on('data', (data) => {
      if (cuts) client.destroy();
      else client.write(data);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  atEnd(scope, async () => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await once(proxy, 'close');
  });
  url.port = String((proxy.address() as AddressInfo).port);
  return {
    url: url.href,
    arm: () => {
      armed = true;
    },
  };
}
