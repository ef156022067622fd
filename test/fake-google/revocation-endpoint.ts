/**
 * Revocation (RFC 7009, as Google does it): an access or a refresh token takes back everything that its identity gave
 * to the whole project, for all clients of that project, perhaps only after a while (reference G31–G33).
 */
import { type Endpoint, json } from './http.ts';
import { OAuthError } from './oauth-error.ts';
import type { RevocationTiming } from './revocations.ts';
import type { TokenBook } from './tokens.ts';

/** Creates the endpoint behind `POST /revoke`; `timing` is asked at every revocation. A dead token is a `400`. */
export function createRevocation({ tokens, timing }: { tokens: TokenBook; timing: () => RevocationTiming }): Endpoint {
  return (request) => {
    const name = request.form.get('token') ?? request.query.get('token');
    if (name === null || name === '') throw new OAuthError('invalid_request', 'Missing required parameter: token');
    const token = tokens.findRefreshToken(name) ?? tokens.findAccessToken(name);
    if (!token) throw new OAuthError('invalid_token');
    tokens.revoke(token.client.project, token.identity, timing());
    return json(200, {});
  };
}
