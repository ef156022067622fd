import { once } from 'node:events';
import { connect } from 'node:net';

/** What a flood of requests came to. */
export interface Reads {
  /** Answers with 200. */
  answered: number;
  /** First lines of other answers, and connections that ended. */
  readonly failures: string[];
}

const IN_FLIGHT = 16;
/** Begins an answer; a body of the sidecar has no such line. */
const ANSWER = /HTTP\/1\.1 (\d{3}[^\r]*)\r\n/g;

/**
 * Asks again and again on one connection that stays open, several requests on their way at a time, until `enough` says so
 * or something fails. Counts and keeps nothing: a client that takes answers apart would be the slowest part of the test.
 */
export async function readUntil(url: string, path: string, reads: Reads, enough: () => boolean): Promise<void> {
  const { hostname, port, host } = new URL(url);
  const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Sidecar-Request: true\r\n\r\n`;
  const socket = connect(Number(port), hostname);
  let onTheirWay = 0;
  let rest = '';
  const ask = () => {
    for (; onTheirWay < IN_FLIGHT && !enough(); onTheirWay += 1) socket.write(request);
    if (onTheirWay === 0) socket.end();
  };
  socket.on('data', (chunk: Buffer) => {
    const text = rest + chunk.toString('latin1');
    let end = 0;
    for (const match of text.matchAll(ANSWER)) {
      const [line, status = ''] = match;
      end = match.index + line.length;
      onTheirWay -= 1;
      if (status.startsWith('200')) reads.answered += 1;
      else reads.failures.push(status);
    }
    rest = text.slice(Math.max(end, text.length - 64));
    if (reads.failures.length > 0) socket.destroy();
    else ask();
  });
  socket.on('error', (error) => reads.failures.push(error.message));
  await once(socket, 'connect');
  ask();
  await once(socket, 'close');
  if (onTheirWay > 0 && reads.failures.length === 0) reads.failures.push('the connection ended too early');
}
