/** Reads an authorization request (RFC 6749 section 4.1.1, RFC 7636) and tells what Google would refuse about it. */

import type { AuthorizationCode } from './issued.ts';
import { isKnownScope, parseScopes } from './scopes.ts';
import type { Client, World } from './world.ts';

/** A request that the owner may be asked about. */
export interface AuthorizationRequest {
  readonly client: Client;
  readonly redirectUri: string;
  readonly scopes: readonly string[];
  readonly state: string | undefined;
  readonly nonce: string | undefined;
  readonly challenge: AuthorizationCode['challenge'];
  readonly offline: boolean;
  readonly prompt: ReadonlySet<'none' | 'consent' | 'select_account'>;
  /** E-mail address or `sub` (reference G21). */
  readonly loginHint: string | undefined;
  /** Merge in what the identity granted before (reference G17). */
  readonly includeGrantedScopes: boolean;
}

/** Thrown for a request that is answered with Google's error page: it must never be redirected anywhere. */
export class AuthorizationPageError extends Error {
  readonly status: 400 | 401 | 403;
  /** The code that Google's page shows, e.g. `redirect_uri_mismatch`. */
  readonly code: string;

  constructor(status: 400 | 401 | 403, code: string, message: string) {
    super(message);
    this.name = 'AuthorizationPageError';
    this.status = status;
    this.code = code;
  }
}

const prompts = ['none', 'consent', 'select_account'] as const;

/** Parses and checks `query` against the registered clients. Throws {@link AuthorizationPageError}. */
export function parseAuthorizationRequest(query: URLSearchParams, world: World): AuthorizationRequest {
  for (const name of new Set(query.keys())) {
    if (query.getAll(name).length > 1) {
      throw new AuthorizationPageError(400, 'invalid_request', `The parameter ${name} appears more than once.`);
    }
  }
  const client = findClient(query, world);
  const redirectUri = query.get('redirect_uri') ?? '';
  if (!client.redirectUris.includes(redirectUri)) {
    const message = 'The redirect URI in the request does not match the ones registered for the OAuth client.';
    throw new AuthorizationPageError(400, 'redirect_uri_mismatch', message);
  }
  if (query.get('response_type') !== 'code') {
    const message = 'Only response_type=code is offered here.';
    throw new AuthorizationPageError(400, 'unsupported_response_type', message);
  }
  return {
    client,
    redirectUri,
    scopes: readScopes(query),
    state: query.get('state') ?? undefined,
    nonce: query.get('nonce') ?? undefined,
    challenge: readChallenge(query),
    offline: query.get('access_type') === 'offline',
    prompt: readPrompt(query),
    loginHint: query.get('login_hint') ?? undefined,
    includeGrantedScopes: query.get('include_granted_scopes') === 'true',
  };
}

function findClient(query: URLSearchParams, world: World): Client {
  const client = world.client(query.get('client_id') ?? '');
  if (!client) throw new AuthorizationPageError(401, 'invalid_client', 'The OAuth client was not found.');
  if (client.status === 'active') return client;
  throw new AuthorizationPageError(401, `${client.status}_client`, `The OAuth client is ${client.status}.`);
}

function readScopes(query: URLSearchParams): readonly string[] {
  const scopes = parseScopes(query.get('scope') ?? '');
  if (scopes.length === 0)
    throw new AuthorizationPageError(400, 'invalid_request', 'Missing required parameter: scope');
  const unknown = scopes.find((scope) => !isKnownScope(scope));
  if (unknown) throw new AuthorizationPageError(400, 'invalid_scope', `Some requested scopes were invalid: ${unknown}`);
  return scopes;
}

function readChallenge(query: URLSearchParams): AuthorizationRequest['challenge'] {
  const value = query.get('code_challenge');
  if (value === null) return undefined;
  const method = query.get('code_challenge_method') ?? 'plain';
  if (method !== 'S256' && method !== 'plain') {
    throw new AuthorizationPageError(400, 'invalid_request', 'Invalid code_challenge_method.');
  }
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(value)) {
    throw new AuthorizationPageError(400, 'invalid_request', 'Invalid code_challenge.');
  }
  return { value, method };
}

function readPrompt(query: URLSearchParams): AuthorizationRequest['prompt'] {
  const asked = (query.get('prompt') ?? '').split(' ').filter((name) => name !== '');
  const prompt = new Set(prompts.filter((name) => asked.includes(name)));
  if (prompt.size !== new Set(asked).size || (prompt.has('none') && prompt.size > 1)) {
    throw new AuthorizationPageError(400, 'invalid_request', `Invalid parameter value for prompt: ${asked.join(' ')}`);
  }
  return prompt;
}
