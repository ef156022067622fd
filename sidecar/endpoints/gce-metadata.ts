/**
 * The part of Google's metadata server that Google's client libraries use, for one channel: a library cannot say which
 * channel it means, so each channel has a port of its own. The channel plays the service account `default`.
 *
 * What differs from Google's on purpose: a scope that the channel's owner has not granted is refused, and there are no
 * identity tokens and no project.
 */
import { createHash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { type SidecarError, sidecarError } from '../errors.ts';
import type { ServedToken } from '../token-source.ts';
import { type Answer, createAnswer, createMemo, createTokenAnswer } from './answer.ts';
import { type Ask, createDesk, type EndpointOptions } from './desk.ts';
import { errorAsText, errorHeaders } from './errors.ts';
import { refusalOf } from './local-request.ts';

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
type Resource = { readonly text: Answer } | { readonly ask: Ask };

export interface GceMetadataOptions extends EndpointOptions {
  readonly channelId: string;
  /** The name of the service account that the channel plays; the libraries use it in paths and show it to people. */
  readonly email: string;
}

/** Makes the request listener, given the names under which it may be called. */
export function createGceMetadataEndpoint({ channelId, email, ...options }: GceMetadataOptions) {
  const desk = createDesk('gce', options, answerError);
  const resourceOf = createMemo(createResourceReader(channelId, email));

  return (hosts: ReadonlySet<string>): RequestListener => {
    const rules = { hosts, header: ['metadata-flavor', 'Google'] } as const;
    const rootRules = { hosts, header: undefined };
    return (request, response) => {
      const refusal = refusalOf(request, request.url === '/' ? rootRules : rules);
      if (refusal) return desk.refuse(request, response, sidecarError(refusal));
      const resource = resourceOf(request.url ?? '');
      if (resource === 'NOT_FOUND') return desk.refuse(request, response, sidecarError(resource));
      if ('text' in resource) return desk.give(request, response, resource.text);
      desk.ask(request, response, resource.ask);
    };
  };
}

/** How a metadata server writes a refusal; also for what is no HTTP. */
export function answerError(error: SidecarError): Answer {
  const headers = { ...ALWAYS, 'Content-Type': 'text/html; charset=UTF-8', ...errorHeaders(error) };
  return createAnswer(headers, errorAsText(error));
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
  const tokenAnswer = createTokenAnswer(tokenAsJson);
  const accountAnswer = ({ token, stale }: ServedToken) =>
    json(JSON.stringify({ aliases: ['default'], email, scopes: token.scopes }), stale);
  const scopesAnswer = ({ token, stale }: ServedToken) => text(`${token.scopes.join('\n')}\n`, stale);
  const answers = new Map<string, Ask['answerOf']>();
  for (const account of [`${ACCOUNTS}/default`, `${ACCOUNTS}/${email}`]) {
    texts.set(account, text('aliases\nemail\nscopes\ntoken\n'));
    texts.set(`${account}/aliases`, text('default\n'));
    texts.set(`${account}/email`, text(email));
    answers.set(`${account}/scopes`, scopesAnswer).set(`${account}/token`, tokenAnswer);
    answers.set(`${account}?recursive`, accountAnswer);
  }
  return (url) => {
    const { pathname, searchParams } = new URL(`http://sidecar${url}`);
    const path = pathname.replaceAll('%40', '@').replace(/\/$/, '');
    const recursive = searchParams.get('recursive')?.toLowerCase() === 'true' ? '?recursive' : '';
    const answerOf = answers.get(path + recursive);
    const fixed = recursive ? undefined : texts.get(path);
    if (fixed) return { text: fixed };
    if (!answerOf) return 'NOT_FOUND';
    // Only the token is asked with scopes; the other parameters of Google's libraries mean nothing here.
    const releases = answerOf === tokenAnswer;
    const asked = releases ? searchParams.getAll('scopes') : [];
    const scopes = asked.flatMap((list) => list.split(',').filter(Boolean));
    return { ask: { wish: { channelId, minTtlSeconds: 0, scopes }, releases, answerOf } };
  };
}

function tokenAsJson({ token, stale }: ServedToken, expiresIn: number): Answer {
  return json(JSON.stringify({ access_token: token.accessToken, expires_in: expiresIn, token_type: 'Bearer' }), stale);
}

function json(body: string, stale?: string): Answer {
  return value('application/json', body, stale);
}

function text(body: string, stale?: string): Answer {
  return value('application/text', body, stale);
}

function value(type: string, body: string, stale: string | undefined): Answer {
  const etag = createHash('sha256').update(body).digest('hex').slice(0, 16);
  const mark: Record<string, string> = stale === undefined ? {} : { 'X-Sidecar-Stale': stale };
  return createAnswer({ ...ALWAYS, 'Content-Type': type, ETag: etag, ...mark }, body);
}
