/** The token endpoint: client authentication, the authorization-code grant and the refresh grant (RFC 6749). */
import { createHash } from 'node:crypto';
import { authenticateClient } from './client-authentication.ts';
import { type Clock, second } from './clock.ts';
import type { DpopVerifier } from './dpop.ts';
import { type Answer, type Endpoint, json, type PracticeRequest } from './http.ts';
import type { AccessToken, AuthorizationCode, RefreshToken } from './issued.ts';
import { OAuthError } from './oauth-error.ts';
import type { IssueIdToken } from './openid.ts';
import { formatScopes, parseScopes } from './scopes.ts';
import type { TokenBook } from './tokens.ts';
import type { Client, World } from './world.ts';

/** What the token endpoint works with. */
export interface TokenEndpointParts {
  readonly clock: Clock;
  readonly world: World;
  readonly tokens: TokenBook;
  readonly dpop: DpopVerifier;
  readonly issueIdToken: IssueIdToken;
  /** The error for a bound refresh token that comes without its key; Google's own choice is not documented. */
  readonly boundTokenRefusal: 'invalid_grant' | 'invalid_dpop_proof';
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name);
  if (value === null || value === '') throw new OAuthError('invalid_request', `Missing required parameter: ${name}`);
  return value;
}

function checkVerifier({ challenge }: AuthorizationCode, verifier: string | null): void {
  if (!challenge) return;
  if (verifier === null) throw new OAuthError('invalid_grant', 'Missing code verifier.');
  const derived = challenge.method === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url');
  if (derived !== challenge.value) throw new OAuthError('invalid_grant', 'Invalid code verifier.');
}

/** Creates the endpoint behind `POST /token`. */
export function createTokenEndpoint(parts: TokenEndpointParts): Endpoint {
  const { clock, world, tokens, dpop, issueIdToken, boundTokenRefusal } = parts;

  async function answer(accessToken: AccessToken, refreshToken?: RefreshToken, nonce?: string): Promise<Answer> {
    const idToken = await issueIdToken(accessToken, nonce);
    const refreshTokenLife = refreshToken?.client.timeBasedAccess;
    return json(200, {
      access_token: accessToken.token,
      expires_in: Math.round((accessToken.expiresAt - accessToken.issuedAt) / second),
      ...(refreshToken ? { refresh_token: refreshToken.token } : {}),
      ...(refreshTokenLife === undefined ? {} : { refresh_token_expires_in: refreshTokenLife }),
      scope: formatScopes(accessToken.scopes),
      token_type: 'Bearer',
      ...(idToken === undefined ? {} : { id_token: idToken }),
    });
  }

  async function authorizationCodeGrant(client: Client, request: PracticeRequest): Promise<Answer> {
    const { form } = request;
    const code = tokens.findCode(required(form, 'code'));
    const boundTo = await dpop.verify(request, client, 'authorization_code');
    if (!code || code.client.clientId !== client.clientId)
      throw new OAuthError('invalid_grant', 'Malformed auth code.');
    if (code.redeemed) {
      tokens.endTokensOfCode(code.code);
      throw new OAuthError('invalid_grant', 'Bad Request');
    }
    if (!tokens.isCodeLive(code)) throw new OAuthError('invalid_grant', 'Bad Request');
    if (form.get('redirect_uri') !== code.redirectUri) throw new OAuthError('redirect_uri_mismatch');
    checkVerifier(code, form.get('code_verifier'));

    code.redeemed = true;
    const { identity, scopes, offline, nonce } = code;
    const grant = { client, identity, scopes, code: code.code };
    const refreshToken = offline ? tokens.issueRefreshToken({ ...grant, boundTo }) : undefined;
    return answer(tokens.issueAccessToken({ ...grant, refreshToken }), refreshToken, nonce);
  }

  async function refreshGrant(client: Client, request: PracticeRequest): Promise<Answer> {
    const name = required(request.form, 'refresh_token');
    const thumbprint = await dpop.verify(request, client, 'refresh_token');
    const refreshToken = tokens.findRefreshToken(name);
    if (!refreshToken) throw new OAuthError('invalid_grant', tokens.ownerOf(name) ? undefined : 'Bad Request');
    if (refreshToken.client.clientId !== client.clientId) throw new OAuthError('unauthorized_client');
    if (refreshToken.boundTo !== undefined && refreshToken.boundTo !== thumbprint) {
      throw new OAuthError(boundTokenRefusal, 'The refresh token is bound to another key.');
    }
    const scopes = narrowed(refreshToken.scopes, request.form.get('scope'));

    refreshToken.lastUsedAt = clock.now();
    const { identity } = refreshToken;
    const next = client.rotateRefreshTokens ? tokens.rotate(refreshToken) : undefined;
    return answer(tokens.issueAccessToken({ client, identity, scopes, refreshToken: next ?? refreshToken }), next);
  }

  function narrowed(granted: readonly string[], asked: string | null): readonly string[] {
    if (asked === null) return granted;
    const scopes = parseScopes(asked);
    if (!scopes.every((scope) => granted.includes(scope))) throw new OAuthError('invalid_scope');
    return scopes;
  }

  return async (request) => {
    const client = authenticateClient(request, world);
    const grantType = required(request.form, 'grant_type');
    if (grantType === 'authorization_code') return authorizationCodeGrant(client, request);
    if (grantType === 'refresh_token') return refreshGrant(client, request);
    throw new OAuthError('unsupported_grant_type', `Invalid grant_type: ${grantType}`);
  };
}
