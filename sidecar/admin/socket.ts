/**
 * Opens an HTTP server on a Unix socket that only its owner may use. The mode is set while the socket is made, so that
 * there is no moment in which others could connect.
 */
import { lstat, unlink } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { connect } from 'node:net';

const OWNER_ONLY = 0o177;

/**
 * Opens it. A socket that a killed sidecar left is taken away; anything else at the path stays.
 *
 * @throws Error naming the path, when it is taken or not to be had.
 */
export async function listenOnSocket(path: string, listener: RequestListener): Promise<{ close(): Promise<void> }> {
  await removeLeftover(path);
  const server = createServer({ maxHeaderSize: 4_096, requestTimeout: 5_000, keepAliveTimeout: 1 }, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`cannot listen on ${path}: it cannot be had`, { cause })));
    const before = process.umask(OWNER_ONLY);
    // The socket is bound within the call.
    server.listen(path, resolve);
    process.umask(before);
  });
  return {
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

async function removeLeftover(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw new Error(`cannot listen on ${path}: there is a file, and it is no socket`);
  if (await answers(path)) throw new Error(`cannot listen on ${path}: another program has it`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
