/**
 * Carries Vault's requests over node:http and node:https, in place of the HTTP client that node-vault brings: that one
 * follows redirects with the token in its hand, obeys HTTP_PROXY, waits without end and keeps headers and bodies in
 * its errors. This one sends to the one address it was made for, takes no redirect, has no proxy, ends with its
 * signal, and its errors hold nothing that was sent.
 */
import http from 'node:http';
import https from 'node:https';

/** What node-vault hands to its HTTP client (the shape of the former `request` package), plus our signal. */
export interface TransportRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
  /** Goes over the one connection of all such requests, when those before it have been answered. */
  readonly inTurn?: boolean;
}

export interface TransportResponse {
  readonly statusCode: number;
  /** Parsed JSON; undefined where the body is empty or is not JSON. */
  readonly body: unknown;
  readonly request: { readonly path: string };
}

export interface Transport {
  /** Rejects with node's own socket error, or with the signal's reason. */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Ends the idle connections. */
  close(): void;
}

/** `caCertPem` replaces the system's certificate authorities; certificates are always checked. */
export function createTransport(settings: { readonly address: string; readonly caCertPem?: string }): Transport {
  const secure = new URL(settings.address).protocol === 'https:';
  const agentFor = (most: number) =>
    secure
      ? new https.Agent({
          keepAlive: true,
          maxSockets: most,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.2',
          ...(settings.caCertPem ? { ca: settings.caCertPem } : {}),
        })
      : new http.Agent({ keepAlive: true, maxSockets: most });
  const [agent, oneAfterAnother] = [agentFor(Number.POSITIVE_INFINITY), agentFor(1)];
  const open = secure ? https.request : http.request;

  return {
    send({ method, uri, headers, json, signal, inTurn = false }) {
      const url = new URL(uri);
      const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
      return new Promise((resolve, reject) => {
        const fail = (error: unknown) => reject(signal.aborted ? signal.reason : error);
        const request = open(url, {
          method,
          agent: inTurn ? oneAfterAnother : agent,
          signal,
          headers: { ...headers, ...contentHeaders(body) },
        });
        request.on('error', fail);
        // node:http tells a request that still waits for its turn only when that has come.
        signal.addEventListener('abort', fail);
        request.on('close', () => {
          // Else the signal would keep what was sent until its time is over.
          signal.removeEventListener('abort', fail);
          // Also where there was neither an answer nor an error: Node closes a connection that is switched to another protocol (101).
          fail(new Error('the connection was closed without an answer'));
        });
        request.on('response', (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', fail);
          response.on('end', () =>
            resolve({
              statusCode: response.statusCode ?? 0,
              body: parseJson(Buffer.concat(chunks).toString()),
              request: { path: url.pathname },
            }),
          );
        });
        request.end(body);
      });
    },
    close() {
      agent.destroy();
      oneAfterAnother.destroy();
    },
  };
}

function contentHeaders(body: Buffer | undefined): Record<string, string> {
  return body ? { 'Content-Type': 'application/json', 'Content-Length': String(body.length) } : {};
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
