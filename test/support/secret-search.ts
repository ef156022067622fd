/**
 * Watches everything that goes over the wires of this process while a story runs, learns from it every secret that
 * existed, and searches what was left behind for each of them, in every usual spelling.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { atEnd, type Scope } from './scope.ts';

/** What kind of secret it is: decides where it may be seen. */
export type SecretKind =
  | 'client secret'
  | 'code'
  | 'code verifier'
  | 'state'
  | 'refresh token'
  | 'access token'
  | 'ID token'
  | 'consent link'
  | 'browser secret'
  | 'identity token'
  | 'Vault token'
  | 'secret id'
  | 'data key'
  | 'password'
  | 'signing secret'
  | 'link of a notification';

/** An HTTP exchange of this process with one of our servers. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  /** Status, headers and body as text. */
  readonly answer: string;
}

export interface SecretWatch {
  /** Every secret seen or told so far → its kind. */
  readonly secrets: ReadonlyMap<string, SecretKind>;
  /** Exchanges by `fetch` with any server. */
  readonly exchanges: readonly Exchange[];
  learn(kind: SecretKind, secret: string | undefined): void;
}

/** Begins to watch; ends with the scope. The broker must run in this process. */
export function watchSecrets(scope: Scope): SecretWatch {
  const secrets = new Map<string, SecretKind>();
  const exchanges: Exchange[] = [];
  const learn = (kind: SecretKind, secret: string | undefined): void => {
    if (secret !== undefined && secret.length >= 8 && !secrets.has(secret)) secrets.set(secret, kind);
  };

  const realFetch = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const form = typeof init?.body === 'string' || init?.body instanceof URLSearchParams ? String(init.body) : '';
    learnFromForm(new URLSearchParams(form), learn);
    learnFromForm(new URL(request.url).searchParams, learn);
    learnBearer(request.headers.get('authorization'), learn);
    const response = await realFetch(input, init);
    const body = await response
      .clone()
      .text()
      .catch(() => '');
    learnFromJson(body, learn);
    const location = response.headers.get('location');
    if (location) learnFromForm(new URL(location, request.url).searchParams, learn);
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
    exchanges.push({ method: request.method, url: request.url, answer: `${response.status}\n${headers}\n\n${body}` });
    return response;
  };

  const onResponse = (message: unknown): void => {
    const { request, response } = message as { request: ClientRequest; response: IncomingMessage };
    learn('Vault token', request.getHeader('x-vault-token')?.toString());
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => learnFromVault(Buffer.concat(chunks).toString(), request.path, learn));
  };
  subscribe('http.client.response.finish', onResponse);
  atEnd(scope, async () => {
    globalThis.fetch = realFetch;
    unsubscribe('http.client.response.finish', onResponse);
  });
  return { secrets, exchanges, learn };
}

type Learn = SecretWatch['learn'];

function learnFromForm(form: URLSearchParams, learn: Learn): void {
  learn('code', form.get('code') ?? undefined);
  learn('code verifier', form.get('code_verifier') ?? undefined);
  learn('client secret', form.get('client_secret') ?? undefined);
  learn('refresh token', form.get('refresh_token') ?? undefined);
  learn('state', form.get('state') ?? undefined);
}

function learnBearer(header: string | null, learn: Learn): void {
  const token = /^Bearer (.+)$/.exec(header ?? '')?.[1];
  if (token) learn(token.startsWith('ey') ? 'identity token' : 'access token', token);
}

/** Also of a body that was cut off. */
function learnFromJson(body: string, learn: Learn): void {
  const kinds = { access_token: 'access token', refresh_token: 'refresh token', id_token: 'ID token' } as const;
  for (const [field, kind] of Object.entries(kinds)) {
    for (const [, value] of body.matchAll(new RegExp(`"${field}"\\s*:\\s*"([^"]+)"`, 'g'))) learn(kind, value);
  }
  for (const [, link] of body.matchAll(/\/consent\/([\w-]{43})\b/g)) learn('consent link', link);
}

function learnFromVault(body: string, path: string, learn: Learn): void {
  for (const [, token] of body.matchAll(/"client_token":"([^"]+)"/g)) learn('Vault token', token);
  for (const [, secret] of body.matchAll(/"secret_id":"([^"]+)"/g)) learn('secret id', secret);
  if (!path.includes('/datakey/')) return;
  for (const [, key] of body.matchAll(/"plaintext":"([^"]+)"/g)) learn('data key', key);
}

/** Where a secret was found: never the secret itself. */
export interface Leak {
  readonly kind: SecretKind;
  readonly place: string;
}

/** Searches a text for every secret, as it is and in every usual spelling. */
export function searchFor(
  secrets: ReadonlyMap<string, SecretKind>,
  place: string,
  text: string | Buffer,
): readonly Leak[] {
  const haystack = Buffer.isBuffer(text) ? text : Buffer.from(text);
  return [...secrets]
    .filter(([secret]) => spellings(secret).some((needle) => haystack.includes(needle)))
    .map(([, kind]) => ({ kind, place }));
}

/** The secret itself; its beginning, as a log that cuts off would show it; and the encodings that something may wrap it in. */
function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const parts = secret.length < 32 ? [secret] : [secret, ...secret.split('.').map((part) => part.slice(0, 24))];
  return [
    ...parts.filter((part) => part.length >= 8 && !isPublic(part)),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    bytes.toString('hex'),
    ...base64Of(bytes),
    ...base64Of(bytes).map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

/** The header of a JWT is the same for all. */
function isPublic(part: string): boolean {
  return part.startsWith('ey');
}

/** As it appears in the base64 of something longer: for each place in a group of three bytes, without the ends. */
function base64Of(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
}
