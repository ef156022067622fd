/**
 * The token endpoint that a credential file names: a refresh grant as Google's client libraries send it
 * (`POST`, a form, HTTP Basic). The libraries show `error_description` to people word for word, so it begins with the
 * stable code. Scopes are not sent; the token has those that the owner granted.
 *
 * The libraries cannot send the required header of the native interface. In its place stands the channel's local secret,
 * which a page or a forged request cannot know.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { LocalSecrets } from '../local-secrets.ts';
import type { ServedToken } from '../token-source.ts';
import { type Answer, createAnswer, createTokenAnswer } from './answer.ts';
import { readBody } from './body.ts';
import { type Ask, createDesk, type EndpointOptions } from './desk.ts';
import { asSidecarError, errorHeaders } from './errors.ts';

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** Makes the server of these requests. */
export function createOAuthTokenEndpoint(options: EndpointOptions, secrets: Pick<LocalSecrets, 'matches'>) {
  const { log } = options;
  const desk = createDesk('credential-file', options, answerError);
  const answerOf = createTokenAnswer(tokenAsJson);
  const asks = new Map<string, Ask>();
  const askOf = (channelId: string): Ask => {
    const known = asks.get(channelId);
    if (known) return known;
    const ask = { wish: { channelId, minTtlSeconds: 0, scopes: [] }, releases: true, answerOf };
    asks.set(channelId, ask);
    return ask;
  };

  const check = (request: IncomingMessage, channelId: string, body: string): void => {
    const [user, secret] = basicOf(request.headers.authorization ?? '');
    if (!secrets.matches(channelId, secret) || user !== channelId) throw sidecarError('LOCAL_SECRET_REFUSED');
    const form = new URLSearchParams(body);
    if (form.get('grant_type') !== 'refresh_token')
      throw sidecarError('INVALID_REQUEST', { detail: 'grant_type has to be refresh_token.' });
  };

  return {
    refuse: desk.refuse,
    serve(request: IncomingMessage, response: ServerResponse, channelId: string): void {
      // Before the secret is looked at: so that guesses cost turns, too.
      desk.allow(request, response, channelId, (caller) => {
        void readBody(request)
          .then((body) => check(request, channelId, body))
          .then(
            () => desk.serve(request, response, caller, askOf(channelId)),
            (error: unknown) => desk.refuse(request, response, asSidecarError(error, log)),
          );
      });
    },
  };
}

/** User and password of HTTP Basic; empty where there are none. */
function basicOf(authorization: string): readonly [user: string, password: string] {
  const [, encoded = ''] = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(authorization) ?? [];
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? ['', ''] : [text.slice(0, colon), text.slice(colon + 1)];
}

function tokenAsJson({ token, stale }: ServedToken, expiresIn: number): Answer {
  const body = {
    access_token: token.accessToken,
    expires_in: expiresIn,
    token_type: 'Bearer',
    scope: token.scopes.join(' '),
  };
  const mark: Record<string, string> = stale === undefined ? {} : { 'X-Sidecar-Stale': stale };
  return createAnswer({ ...JSON_TYPE, ...mark }, `${JSON.stringify(body)}\n`);
}

/** As RFC 6749, section 5.2, but for the status, which is that of every interface: it tells the libraries whether to try again. */
function answerError(error: SidecarError): Answer {
  const body = {
    error: oauthErrorOf(error),
    error_description: `${error.code}: ${error.sentence}${error.next === undefined ? '' : ` ${error.next}`}`.replaceAll(
      '’',
      "'",
    ),
  };
  return createAnswer({ ...JSON_TYPE, ...errorHeaders(error, 'POST') }, `${JSON.stringify(body)}\n`);
}

function oauthErrorOf({ http, code }: SidecarError): string {
  if (http === 401) return 'invalid_client';
  if (http === 503 || http === 429) return 'temporarily_unavailable';
  if (code === 'ACCESS_DENIED' || code === 'CALLER_REFUSED') return 'unauthorized_client';
  return http === 403 ? 'invalid_grant' : 'invalid_request';
}
