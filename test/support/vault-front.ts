import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { atEnd, type Scope } from './scope.ts';

/** What stands between a client and its Vault, as a load balancer does. */
export interface VaultFront {
  readonly address: string;
  /** `METHOD path` of each request, in order; the path without `/v1/`. */
  readonly requests: readonly string[];
  /** How many of the requests whose line matches were on their way at the same time, at most. */
  mostAtOnce(line: RegExp): number;
  /** Answers 503 with a page of its own to the next requests whose line matches. */
  fail(line: RegExp, times: number): void;
}

/** Puts a front before a Vault; all that it is not told to fail goes through. */
export async function useVaultFront(scope: Scope, vaultAddress: string): Promise<VaultFront> {
  const requests: string[] = [];
  /** Of each moment when a request came: the lines of those that had no answer yet. */
  const moments: (readonly string[])[] = [];
  const running: string[] = [];
  const failures: { readonly line: RegExp; left: number }[] = [];

  const server = createServer((incoming, answer) => {
    const line = `${incoming.method} ${incoming.url?.replace('/v1/', '')}`;
    requests.push(line);
    running.push(line);
    moments.push([...running]);
    answer.on('close', () => running.splice(running.indexOf(line), 1));
    const failure = failures.find((candidate) => candidate.left > 0 && candidate.line.test(line));
    if (failure) {
      failure.left -= 1;
      answer.writeHead(503, { 'content-type': 'text/html' }).end('<html>no backend</html>');
      return;
    }
    const { method, headers, url } = incoming;
    const onward = request(new URL(url ?? '/', vaultAddress), { ...(method ? { method } : {}), headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    onward.on('error', () => answer.writeHead(502).end());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(scope, async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    requests,
    mostAtOnce: (line) => Math.max(0, ...moments.map((lines) => lines.filter((each) => line.test(each)).length)),
    fail: (line, times) => void failures.push({ line, left: times }),
  };
}
