/** `GET /v1/channels/{id}/token?min_ttl=&scope=`: the sidecar's own interface, for any channel. */
import type { RequestListener, ServerResponse } from 'node:http';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { TokenWish } from '../token-policy.ts';
import type { ServedToken, TokenSource } from '../token-source.ts';
import { type Answer, createAnswer, createMemo, createTokenAnswer, sendAnswer } from './answer.ts';
import { asSidecarError, errorAsJson, errorHeaders } from './errors.ts';
import { refusalOf } from './local-request.ts';

const PATH = /^\/v1\/channels\/([A-Za-z0-9_-]{1,64})\/token$/;
/** Google's tokens live for an hour; this leaves the broker time to bring one. */
const LONGEST_MIN_TTL = 3_300;
const JSON_TYPE = { 'Content-Type': 'application/json' };

export interface EndpointOptions {
  readonly tokens: TokenSource;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Makes the request listener, given the names under which it may be called. */
export function createNativeEndpoint({ tokens, log, now }: EndpointOptions) {
  const wishOf = createMemo(readWish);
  const tokenAnswer = createTokenAnswer(tokenAsJson);

  const refuse = (response: ServerResponse, error: SidecarError) =>
    sendAnswer(response, error.http, createAnswer({ ...JSON_TYPE, ...errorHeaders(error) }, errorAsJson(error)));
  const give = (response: ServerResponse, served: ServedToken) => sendAnswer(response, 200, tokenAnswer(served, now()));

  return (hosts: ReadonlySet<string>): RequestListener => {
    const rules = { hosts, header: ['x-sidecar-request', 'true'] } as const;
    return (request, response) => {
      const refusal = refusalOf(request, rules);
      if (refusal) return refuse(response, sidecarError(refusal));
      const wish = wishOf(request.url ?? '');
      if (typeof wish === 'string') return refuse(response, sidecarError(wish));
      const held = tokens.held(wish);
      if (held) return give(response, held);
      void tokens.read(wish).then(
        (served) => give(response, served),
        (error) => refuse(response, asSidecarError(error, log)),
      );
    };
  };
}

/** Reads what a URL asks for, or says why it cannot be asked. */
export function readWish(url: string): TokenWish | 'NOT_FOUND' | 'INVALID_REQUEST' {
  const { pathname, searchParams } = new URL(`http://sidecar${url}`);
  const channelId = PATH.exec(pathname)?.[1];
  if (channelId === undefined) return 'NOT_FOUND';
  for (const name of searchParams.keys()) if (name !== 'min_ttl' && name !== 'scope') return 'INVALID_REQUEST';
  const minTtl = searchParams.getAll('min_ttl');
  if (minTtl.length > 1 || !minTtl.every((text) => /^\d{1,4}$/.test(text))) return 'INVALID_REQUEST';
  const minTtlSeconds = Number(minTtl[0] ?? 0);
  if (minTtlSeconds > LONGEST_MIN_TTL) return 'INVALID_REQUEST';
  const scopes = searchParams.getAll('scope').flatMap((text) => text.split(' ').filter(Boolean));
  return { channelId, minTtlSeconds, scopes };
}

function tokenAsJson({ token, stale }: ServedToken, expiresIn: number): Answer {
  const body = {
    access_token: token.accessToken,
    token_type: 'Bearer',
    expires_at: new Date(token.expiresAt).toISOString(),
    expires_in: expiresIn,
    scopes: token.scopes,
    channel_id: token.channelId,
    youtube_channel_id: token.youtubeChannelId,
    stale,
  };
  return createAnswer(JSON_TYPE, `${JSON.stringify(body)}\n`);
}
