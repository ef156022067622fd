/**
 * Loads an HTTP server as fast as it answers, from a process of its own: as many connections as told, one request at a time on
 * each. It writes bytes to sockets and counts bytes that come back: whatever it did besides would be taken for the
 * server's. Told what to do, and answers, over Node's IPC channel (`load.ts`).
 */
import { connect, type Socket } from 'node:net';

/** What to do. */
export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly milliseconds: number;
  /** The whole request, with its blank line. */
  readonly request: string;
}

/** What came of it. */
export interface Loaded {
  readonly perSecond: number;
  /** In milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

const MOST_LATENCIES = 1_000_000;
const END_OF_HEAD = Buffer.from('\r\n\r\n');

async function run({ port, connections, milliseconds, request }: Load): Promise<Loaded> {
  const bytes = Buffer.from(request);
  const latencies = new Float64Array(MOST_LATENCIES);
  let count = 0;
  let running = true;

  const drive = (socket: Socket): Promise<void> =>
    new Promise((resolve, reject) => {
      let expected = 0;
      let received = 0;
      let head: Buffer<ArrayBufferLike> = Buffer.alloc(0);
      let begun = performance.now();
      const send = () => {
        received = 0;
        begun = performance.now();
        socket.write(bytes);
      };
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the server closed a connection')));
      socket.on('data', (chunk) => {
        // Every answer has the length of the first, which alone is taken apart.
        if (expected === 0) {
          head = Buffer.concat([head, chunk]);
          expected = lengthOf(head);
        }
        received += chunk.length;
        if (expected === 0 || received < expected) return;
        if (received > expected) reject(new Error('an answer has another length than the first'));
        latencies[count % MOST_LATENCIES] = performance.now() - begun;
        count += 1;
        if (running) send();
        else resolve();
      });
      send();
    });

  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const from = performance.now();
  setTimeout(() => {
    running = false;
  }, milliseconds);
  await Promise.all(sockets.map(drive));
  const seconds = (performance.now() - from) / 1_000;
  for (const socket of sockets) socket.removeAllListeners().destroy();
  const sorted = latencies.subarray(0, Math.min(count, MOST_LATENCIES)).toSorted();
  const part = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
  return { perSecond: count / seconds, p50: part(0.5), p99: part(0.99) };
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.on('error', reject);
  });
}

/** Of the whole answer; 0 until its head is there. */
function lengthOf(answer: Buffer): number {
  const end = answer.indexOf(END_OF_HEAD);
  if (end < 0) return 0;
  const head = answer.subarray(0, end).toString('latin1');
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) throw new Error(`the server answered: ${head}`);
  return end + END_OF_HEAD.length + Number(length);
}

process.on('message', (load: Load) => {
  void run(load).then(
    (loaded) => process.send?.({ loaded }),
    (error: unknown) => process.send?.({ failure: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
