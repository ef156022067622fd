/** `channels.list`, as far as it identifies the channel a token is bound to (reference Y2, Y4). */
import { ApiError } from './google-api-error.ts';
import { bearerToken, type Endpoint, json, type PracticeRequest } from './http.ts';
import type { AccessToken } from './issued.ts';
import { channelListScopes } from './scopes.ts';
import type { TokenBook } from './tokens.ts';

/** Returns the living token of `request` that has one of `scopes`. Throws {@link ApiError} 401 or 403. */
export function authorizeApiRequest(
  request: PracticeRequest,
  tokens: TokenBook,
  scopes: readonly string[],
): AccessToken {
  const token = tokens.findAccessToken(bearerToken(request) ?? '');
  if (!token) throw new ApiError('authError');
  if (!token.scopes.some((scope) => scopes.includes(scope))) throw new ApiError('insufficientPermissions');
  return token;
}

/** Creates the endpoint behind `GET /youtube/v3/channels?part=id,snippet&mine=true`. */
export function createChannelList(tokens: TokenBook): Endpoint {
  return (request) => {
    const { identity } = authorizeApiRequest(request, tokens, channelListScopes);
    const parts = (request.query.get('part') ?? '').split(',');
    if (request.query.get('mine') !== 'true') throw new ApiError('invalidArgument', 'No filter selected.');
    if (!parts.includes('id') && !parts.includes('snippet')) throw new ApiError('invalidArgument', 'part is missing.');

    const items = identity.channels.map(({ id, title }) => ({
      kind: 'youtube#channel',
      id,
      ...(parts.includes('snippet') ? { snippet: { title, description: '' } } : {}),
    }));
    return json(200, {
      kind: 'youtube#channelListResponse',
      pageInfo: { totalResults: items.length, resultsPerPage: 5 },
      // Google leaves `items` out altogether when there is no channel.
      ...(items.length > 0 ? { items } : {}),
    });
  };
}
