import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';

// Waits until its input closes, which the operating system does for a parent that ends in whatever way, SIGKILL
// included. Then asks the server to end, and after ten seconds makes it.
const WATCH = `
read -r _
kill -"$1" "$2" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$2" 2>/dev/null || exit 0; sleep 1; done
kill -KILL "$2" 2>/dev/null
`;

/**
 * Sees to it that a server does not outlive this process, however this process ends. The watch is a shell of its own
 * that holds one end of a pipe; it keeps neither process alive and goes when the server goes.
 *
 * @param signal what tells this server to end in good order
 */
export function endWithParent(server: ChildProcess, signal: NodeJS.Signals): void {
  if (server.pid === undefined) return;
  const watch = spawn('/bin/sh', ['-c', WATCH, 'end-with-parent', signal.replace('SIG', ''), String(server.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Out of the terminal's reach: Ctrl-C must not end the watch before the parent.
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
  });
  watch.unref();
  watch.on('error', () => {});
  watch.stdin.on('error', () => {});
  if (watch.stdin instanceof Socket) watch.stdin.unref();
  // The pid may belong to another process from now on.
  server.once('exit', () => watch.kill('SIGKILL'));
}
