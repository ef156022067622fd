/**
 * The sidecar's own interface, for any channel, on loopback TCP and on a Unix socket:
 *
 *   GET  /v1/channels                              what is served here, without a token
 *   GET  /v1/channels/{id}/token?min_ttl=&scope=   a token
 *   POST /v1/channels/{id}/rejected                YouTube answered 401 to a token
 *   POST /v1/channels/{id}/oauthtoken              for credential files; see credential-file.ts
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { LocalSecrets } from '../local-secrets.ts';
import type { ServedToken } from '../token-source.ts';
import { type Answer, createAnswer, createMemo, createTokenAnswer } from './answer.ts';
import { type DescribeChannels, JSON_TYPE } from './channels.ts';
import { createOAuthTokenEndpoint } from './credential-file.ts';
import { type Ask, createDesk, type EndpointOptions } from './desk.ts';
import { errorAsJson, errorHeaders } from './errors.ts';
import { type LocalRules, refusalOf } from './local-request.ts';
import { readNativeUrl } from './native-request.ts';
import { createRejectedEndpoint } from './rejected.ts';

export interface NativeOptions extends EndpointOptions {
  readonly secrets: Pick<LocalSecrets, 'matches'>;
  readonly describeChannels: DescribeChannels;
}

type Route = { readonly ask: Ask } | Exclude<ReturnType<typeof readNativeUrl>, { kind: 'token' }>;

/** Makes the request listener, given the names under which it may be called. */
export function createNativeEndpoint(options: NativeOptions) {
  const { secrets, describeChannels } = options;
  const desk = createDesk('native', options, answerError);
  const oauthToken = createOAuthTokenEndpoint(options, secrets);
  const rejected = createRejectedEndpoint(desk, options);
  const answerOf = createTokenAnswer(tokenAsJson);
  const routeOf = createMemo((url: string): Route => {
    const read = readNativeUrl(url);
    if (typeof read === 'string' || read.kind !== 'token') return read;
    return { ask: { wish: read.wish, releases: true, answerOf } };
  });

  const listChannels = (request: IncomingMessage, response: ServerResponse): void =>
    desk.admit(request, response, (caller) => {
      const channels = describeChannels((channelId) => caller.mayRead(channelId));
      desk.give(request, response, createAnswer(JSON_TYPE, `${JSON.stringify({ channels })}\n`));
    });

  return (hosts: ReadonlySet<string>): RequestListener => {
    const header = ['x-sidecar-request', 'true'] as const;
    const reading: LocalRules = { hosts, header };
    const posting: LocalRules = { hosts, header, post: true };
    const postingForm: LocalRules = { hosts, header: undefined, post: true };

    return (request, response) => {
      const route = routeOf(request.url ?? '');
      if (typeof route === 'object' && 'ask' in route) {
        const refusal = refusalOf(request, reading);
        return refusal ? desk.refuse(request, response, sidecarError(refusal)) : desk.ask(request, response, route.ask);
      }
      if (typeof route === 'string') {
        const refusal = refusalOf(request, reading) ?? route;
        return desk.refuse(request, response, sidecarError(refusal));
      }
      const isForm = route.kind === 'oauthtoken';
      const rules = route.kind === 'channels' ? reading : isForm ? postingForm : posting;
      const refusal = refusalOf(request, rules);
      if (refusal) return (isForm ? oauthToken : desk).refuse(request, response, sidecarError(refusal));
      if (route.kind === 'channels') return listChannels(request, response);
      if (isForm) return oauthToken.serve(request, response, route.channelId);
      return rejected(request, response, route.channelId);
    };
  };
}

function answerError(error: SidecarError, request: IncomingMessage): Answer {
  const allow = request.url?.endsWith('/rejected') ? 'POST' : undefined;
  return createAnswer({ ...JSON_TYPE, ...errorHeaders(error, allow) }, errorAsJson(error));
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
  const mark: Record<string, string> = stale === undefined ? {} : { 'X-Sidecar-Stale': stale };
  return createAnswer({ ...JSON_TYPE, ...mark }, `${JSON.stringify(body)}\n`);
}
