/**
 * Opens a local HTTP server on a Unix socket. Who may open it is decided by the kernel, on the mode and the group of its
 * file; it never exists with a wider mode, not even for a moment.
 */
import { once } from 'node:events';
import { chmod, chown, lstat, readFile, unlink } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { closeServer, createLocalServer, type Listener, type ServerOptions } from './listen.ts';
import { socketHosts } from './local-request.ts';

/** Nobody but its owner, until mode and group are set. */
const CLOSED_UMASK = 0o177;

export interface SocketAddress {
  readonly path: string;
  readonly mode: number;
  /** A group's name or number; undefined leaves the sidecar's own. */
  readonly group: string | undefined;
}

/**
 * Opens the server; a socket that a former sidecar has left behind is replaced.
 *
 * @throws Error naming the path: something else is there, or another program listens on it, or the group is unknown.
 */
export async function listenOnSocket(
  { path, mode, group }: SocketAddress,
  endpoint: (hosts: ReadonlySet<string>) => RequestListener,
  options: ServerOptions = {},
): Promise<Listener> {
  const server = createLocalServer(options);
  try {
    const gid = group === undefined ? undefined : await groupId(group);
    await removeStale(path);
    server.on('request', endpoint(socketHosts));
    const listening = once(server, 'listening');
    // The file is made within this call.
    const umask = process.umask(CLOSED_UMASK);
    try {
      server.listen(path);
    } finally {
      process.umask(umask);
    }
    await listening;
    if (gid !== undefined) await chown(path, -1, gid);
    await chmod(path, mode);
  } catch (cause) {
    if (server.listening) await closeServer(server);
    throw new Error(`cannot listen on ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return { url: `unix:${path}`, close: () => closeServer(server) };
}

async function removeStale(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (!there) return;
  if (!there.isSocket()) throw new Error('there is something that is no socket');
  if (await isAlive(path)) throw new Error('another program listens there');
  await unlink(path);
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket
      .once('connect', () => resolve(true))
      .once('error', (error: NodeJS.ErrnoException) =>
        // Refused means that nobody has it open. Anything else is not ours to judge.
        resolve(error.code !== 'ECONNREFUSED'),
      );
    socket.once('connect', () => socket.destroy());
  });
}

async function groupId(group: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  for (const line of (await readFile('/etc/group', 'utf8')).split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group) return Number(gid);
  }
  throw new Error(`there is no group ${group}`);
}
