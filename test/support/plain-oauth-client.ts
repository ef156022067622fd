/** A plain OAuth client for tests: what the specifications say and nothing clever, so that a server's answers stay visible. */
import { createHash, randomBytes } from 'node:crypto';

/** The client and the two endpoints it talks to. */
export interface PlainClient {
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

/** An authorization request and the PKCE verifier that belongs to it (RFC 7636). */
export interface StartedConsent {
  readonly url: string;
  readonly verifier: string;
}

/** An answer read completely. `body` is the JSON, or the text where it is none. */
export interface TokenAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & { readonly [Name in TokenField]?: string };
  readonly text: string;
}

type TokenField =
  | 'access_token'
  | 'refresh_token'
  | 'id_token'
  | 'scope'
  | 'token_type'
  | 'error'
  | 'error_description';

/** Makes an authorization request with PKCE S256; `parameters` add to the usual ones or, when `undefined`, remove one. */
export function startConsent(
  client: PlainClient,
  parameters: Readonly<Record<string, string | undefined>>,
): StartedConsent {
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL(client.authorizationEndpoint);
  const all: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: client.redirectUri,
    state: randomBytes(16).toString('base64url'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...parameters,
  };
  for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value);
  return { url: url.href, verifier };
}

/** Posts a form to the token endpoint with `client_secret_post`. */
export async function requestToken(
  client: PlainClient,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  const { clientId: client_id, clientSecret: client_secret } = client;
  const body = new URLSearchParams({ client_id, client_secret, ...fields });
  return readAnswer(await fetch(client.tokenEndpoint, { method: 'POST', body, headers }));
}

/** Redeems the code of a callback URL. */
export function redeemCode(
  client: PlainClient,
  callbackUrl: string,
  verifier: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  const code = new URL(callbackUrl).searchParams.get('code') ?? '';
  const fields = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: client.redirectUri,
    code_verifier: verifier,
  };
  return requestToken(client, fields, headers);
}

/** Asks for a new access token. */
export function refresh(
  client: PlainClient,
  refreshToken: string | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  return requestToken(client, { grant_type: 'refresh_token', refresh_token: refreshToken ?? '' }, headers);
}

/** Reads a response to its end. */
export async function readAnswer(response: Response): Promise<TokenAnswer> {
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  const body = (isJson ? JSON.parse(text) : {}) as TokenAnswer['body'];
  return { status: response.status, headers: response.headers, body, text };
}
