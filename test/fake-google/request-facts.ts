/** What fault rules and counts go by: which endpoint, whose client, which grant, which token. */

import { clientCredentials } from './client-authentication.ts';
import { bearerToken, type PracticeRequest } from './http.ts';
import type { TokenBook } from './tokens.ts';

/** The name of an endpoint in fault rules and counts. */
export type EndpointName =
  | 'authorization'
  | 'consent'
  | 'token'
  | 'revocation'
  | 'jwks'
  | 'discovery'
  | 'userinfo'
  | 'risc-configuration'
  | 'risc-stream'
  | 'channels'
  | 'upload-begin'
  | 'upload-send'
  | 'none';

/** The features of one request. */
export interface RequestFacts {
  readonly endpoint: EndpointName;
  readonly method: string;
  readonly path: string;
  readonly clientId: string | undefined;
  readonly grantType: string | undefined;
  /** The refresh token, code, bearer token or token to be revoked that the request carries. */
  readonly token: string | undefined;
  /** E-mail address of the identity that the token is bound to. */
  readonly account: string | undefined;
}

/** Collects the facts of `request`. */
export function requestFacts(endpoint: EndpointName, request: PracticeRequest, tokens: TokenBook): RequestFacts {
  const { form, query, method, path } = request;
  const token =
    form.get('refresh_token') ?? form.get('token') ?? form.get('code') ?? query.get('token') ?? bearerToken(request);
  const owner = token === undefined ? undefined : tokens.ownerOf(token);
  return {
    endpoint,
    method,
    path,
    clientId: clientCredentials(request).clientId ?? query.get('client_id') ?? owner?.client.clientId,
    grantType: form.get('grant_type') ?? undefined,
    token,
    account: owner?.identity.email,
  };
}
