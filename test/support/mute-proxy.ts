import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { atEnd, type Scope } from './scope.ts';

/**
 * Stands before a server. `silence` passes nothing on any more and closes nothing, as a dead network path does, on the
 * connections open by then; later ones are served.
 */
export async function useMuteProxy(scope: Scope, target: string): Promise<{ readonly url: string; silence(): void }> {
  const url = new URL(target);
  const behind = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(behind);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
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
    silence: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}
