/** The native interface over a token source that a test commands, on TCP and, if asked, on a Unix socket. */
import { request as httpRequest, type RequestOptions } from 'node:http';
import type { ReleasedToken } from '../../sidecar/broker-client.ts';
import { createDescribeChannels } from '../../sidecar/endpoints/channels.ts';
import { listen } from '../../sidecar/endpoints/listen.ts';
import { createNativeEndpoint } from '../../sidecar/endpoints/native.ts';
import { listenOnSocket, type SocketAddress } from '../../sidecar/endpoints/unix-socket.ts';
import { createLocalSecrets } from '../../sidecar/local-secrets.ts';
import { createTokenSource } from '../../sidecar/token-source.ts';
import { endpointParts, type LocalParts } from './local-callers.ts';
import { atEnd, type Scope } from './scope.ts';

const HOUR_MS = 3_600_000;

export interface LocalAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A token that lives for an hour. */
export function localToken(channelId: string, accessToken = 'ya29.local'): ReleasedToken {
  const expiresAt = Date.now() + HOUR_MS;
  return { channelId, accessToken, expiresAt, scopes: ['upload'], youtubeChannelId: 'UC1', generation: 1 };
}

export async function useLocalServer(scope: Scope, options: LocalParts & { readonly socket?: SocketAddress } = {}) {
  let answer = (channelId: string): ReleasedToken | Promise<ReleasedToken> => localToken(channelId);
  const calls: string[] = [];
  const log = { info() {}, warn() {}, error() {} };
  const tokens = createTokenSource({
    broker: {
      async getAccessToken({ channelId = '' }) {
        calls.push(channelId);
        return answer(channelId);
      },
    },
    log,
    now: Date.now,
    random: Math.random,
    patienceMs: HOUR_MS,
    recheckMs: HOUR_MS,
  });
  atEnd(scope, tokens.stop);
  const { parts, releases, ...seen } = endpointParts(tokens, options);
  const secrets = createLocalSecrets();
  const [gceUrls, credentialFiles] = [new Map<string, string>(), new Map<string, string>()];
  const describeChannels = createDescribeChannels({ tokens, gceUrls, credentialFiles });
  const endpoint = createNativeEndpoint({ ...parts, secrets, describeChannels });
  const { greet } = parts.callers;
  const { url, close } = await listen({ host: '127.0.0.1', port: 0 }, endpoint, { greet });
  atEnd(scope, close);
  if (options.socket) atEnd(scope, (await listenOnSocket(options.socket, endpoint, { greet })).close);

  /** Sends one request on a connection of its own. */
  const send = (path: string, change: RequestOptions = {}, body?: string): Promise<LocalAnswer> => {
    const headers = { 'X-Sidecar-Request': 'true', ...change.headers };
    const { hostname, port } = new URL(url);
    const to = change.socketPath === undefined ? { hostname, port } : {};
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ ...to, path, agent: false, ...change, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  };
  return {
    url,
    port: Number(new URL(url).port),
    send,
    secrets,
    calls,
    gceUrls,
    credentialFiles,
    flush: releases.flush,
    ...seen,
    answers(next: typeof answer) {
      answer = next;
    },
  };
}
