/**
 * The part of Google's metadata server that Google's client libraries use, for one channel: a library cannot say which
 * channel it means, so each channel has a port of its own. The channel plays the service account `default`.
 *
 * What differs from Google's on purpose: a scope that the channel's owner has not granted is refused, and there are no
 * identity tokens and no project.
 */
import { createHash } from 'node:crypto';
import type { RequestListener, ServerResponse } from 'node:http';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { TokenWish } from '../token-policy.ts';
import type { ServedToken } from '../token-source.ts';
import { type Answer, createAnswer, createMemo, createTokenAnswer, sendAnswer } from './answer.ts';
import { asSidecarError, errorAsText, errorHeaders } from './errors.ts';
import { refusalOf } from './local-request.ts';
import type { EndpointOptions } from './native.ts';

/** On every answer, also on errors: Google's Node library throws where the first is missing. */
const ALWAYS = {
  'Metadata-Flavor': 'Google',
  Server: 'Metadata Server for VM',
  'X-XSS-Protection': '0',
  'X-Frame-Options': 'SAMEORIGIN',
};
const ROOT = '/computeMetadata/v1';
const ACCOUNTS = `${ROOT}/instance/service-accounts`;

/** What a path answers: a fixed text, or something that needs the channel's token. */
type Resource = { readonly text: Answer } | { readonly wish: TokenWish; readonly show: 'token' | 'account' | 'scopes' };

export interface GceMetadataOptions extends EndpointOptions {
  readonly channelId: string;
  /** The name of the service account that the channel plays; the libraries use it in paths and show it to people. */
  readonly email: string;
}

/** Makes the request listener, given the names under which it may be called. */
export function createGceMetadataEndpoint({ channelId, email, tokens, log, now }: GceMetadataOptions) {
  const resourceOf = createMemo(createResourceReader(channelId, email));
  const tokenAnswer = createTokenAnswer(tokenAsJson);

  const refuse = (response: ServerResponse, error: SidecarError) => {
    const headers = { ...ALWAYS, 'Content-Type': 'text/html; charset=UTF-8', ...errorHeaders(error) };
    sendAnswer(response, error.http, createAnswer(headers, errorAsText(error)));
  };
  const give = (response: ServerResponse, show: 'token' | 'account' | 'scopes', served: ServedToken) => {
    if (show === 'token') return sendAnswer(response, 200, tokenAnswer(served, now()));
    const { scopes } = served.token;
    const account = JSON.stringify({ aliases: ['default'], email, scopes });
    sendAnswer(response, 200, show === 'account' ? json(account) : text(`${scopes.join('\n')}\n`));
  };

  return (hosts: ReadonlySet<string>): RequestListener => {
    const rules = { hosts, header: ['metadata-flavor', 'Google'] } as const;
    const rootRules = { hosts, header: undefined };
    return (request, response) => {
      const refusal = refusalOf(request, request.url === '/' ? rootRules : rules);
      if (refusal) return refuse(response, sidecarError(refusal));
      const resource = resourceOf(request.url ?? '');
      if (resource === 'NOT_FOUND') return refuse(response, sidecarError(resource));
      if ('text' in resource) return sendAnswer(response, 200, resource.text);
      const { wish, show } = resource;
      const held = tokens.held(wish);
      if (held) return give(response, show, held);
      void tokens.read(wish).then(
        (served) => give(response, show, served),
        (error) => refuse(response, asSidecarError(error, log)),
      );
    };
  };
}

function createResourceReader(channelId: string, email: string): (url: string) => Resource | 'NOT_FOUND' {
  const texts = new Map<string, Answer>([
    ['', text('computeMetadata/\n')],
    ['/computeMetadata', text('v1/\n')],
    [ROOT, text('instance/\nuniverse/\n')],
    [`${ROOT}/instance`, text('service-accounts/\n')],
    [`${ROOT}/universe`, text('universe-domain\n')],
    [`${ROOT}/universe/universe-domain`, text('googleapis.com')],
    // As Go's library writes it.
    [`${ROOT}/universe/universe_domain`, text('googleapis.com')],
    [ACCOUNTS, text(`default/\n${email}/\n`)],
  ]);
  const shows = new Map<string, 'token' | 'account' | 'scopes'>();
  for (const account of [`${ACCOUNTS}/default`, `${ACCOUNTS}/${email}`]) {
    texts.set(account, text('aliases\nemail\nscopes\ntoken\n'));
    texts.set(`${account}/aliases`, text('default\n'));
    texts.set(`${account}/email`, text(email));
    shows.set(`${account}/scopes`, 'scopes').set(`${account}/token`, 'token').set(`${account}?recursive`, 'account');
  }
  return (url) => {
    const { pathname, searchParams } = new URL(`http://sidecar${url}`);
    const path = pathname.replaceAll('%40', '@').replace(/\/$/, '');
    const recursive = searchParams.get('recursive')?.toLowerCase() === 'true' ? '?recursive' : '';
    const show = shows.get(path + recursive);
    const fixed = recursive ? undefined : texts.get(path);
    if (fixed) return { text: fixed };
    if (!show) return 'NOT_FOUND';
    // Only the token is asked with scopes; the other parameters of Google's libraries mean nothing here.
    const asked = show === 'token' ? searchParams.getAll('scopes') : [];
    const scopes = asked.flatMap((list) => list.split(',').filter(Boolean));
    return { wish: { channelId, minTtlSeconds: 0, scopes }, show };
  };
}

function tokenAsJson({ token }: ServedToken, expiresIn: number): Answer {
  return json(JSON.stringify({ access_token: token.accessToken, expires_in: expiresIn, token_type: 'Bearer' }));
}

function json(body: string): Answer {
  return value('application/json', body);
}

function text(body: string): Answer {
  return value('application/text', body);
}

function value(type: string, body: string): Answer {
  const etag = createHash('sha256').update(body).digest('hex').slice(0, 16);
  return createAnswer({ ...ALWAYS, 'Content-Type': type, ETag: etag }, body);
}
