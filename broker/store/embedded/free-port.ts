import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

// Below the range that Linux and macOS take for outgoing connections, so that no client socket sits on the port
// between this answer and its use, nor while a server is stopped and started again on it.
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** Finds a TCP port on 127.0.0.1 that nothing listens on, for servers that cannot be told to choose one themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
