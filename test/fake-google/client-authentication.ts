/** Who is calling the token endpoint: `client_secret_basic` and `client_secret_post` (RFC 6749 section 2.3.1). */
import type { PracticeRequest } from './http.ts';
import { OAuthError, type OAuthErrorName } from './oauth-error.ts';
import type { Client, World } from './world.ts';

interface ClientCredentials {
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
}

/** The client id and secret of a request, from its `Authorization: Basic` header or its form. */
export function clientCredentials({ headers, form }: PracticeRequest): ClientCredentials {
  const basic = /^Basic +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (basic === undefined) {
    return { clientId: form.get('client_id') ?? undefined, clientSecret: form.get('client_secret') ?? undefined };
  }
  // RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
  const decode = (half: string | undefined) => new URLSearchParams(`v=${half ?? ''}`).get('v') ?? undefined;
  const [clientId, clientSecret] = Buffer.from(basic, 'base64').toString('utf8').split(':', 2);
  return { clientId: decode(clientId), clientSecret: decode(clientSecret) };
}

const inactive: Readonly<Record<Exclude<Client['status'], 'active'>, OAuthErrorName>> = {
  deleted: 'deleted_client',
  disabled: 'disabled_client',
  unauthorized: 'unauthorized_client',
};

/** Returns the client that `request` proves to come from. Throws {@link OAuthError} as Google's table has it. */
export function authenticateClient(request: PracticeRequest, world: World): Client {
  const { clientId, clientSecret } = clientCredentials(request);
  if (clientId === undefined) {
    throw new OAuthError('invalid_request', 'Could not determine client ID from request.');
  }
  const client = world.client(clientId);
  if (!client) throw new OAuthError('invalid_client');
  if (client.status !== 'active') throw new OAuthError(inactive[client.status]);
  if (clientSecret === undefined) throw new OAuthError('invalid_request', 'client_secret is missing.');
  if (clientSecret !== client.clientSecret) {
    throw new OAuthError('invalid_client', 'The provided client secret is invalid.');
  }
  return client;
}
