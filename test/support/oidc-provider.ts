/**
 * The certified `oidc-provider` as an authorization server for tests: the proof that nothing depends on our own
 * practice Google. Whoever asks is signed in as the one account and granted what was asked, as `choices` say. Beside
 * it stands a `channels.list` that takes this provider's access tokens, because an identity here has no YouTube.
 */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { type FoundAccessToken, interactionPolicy, Provider } from 'oidc-provider';

/** A confidential client with the code and the refresh grant. */
export interface OidcClientSettings {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUris: readonly string[];
  /** Default: `client_secret_post`, as Google's libraries do. */
  readonly authentication?: 'client_secret_post' | 'client_secret_basic';
}

/** Who signs in. */
export interface OidcAccount {
  readonly sub: string;
  readonly email: string;
  readonly channelId?: string;
}

/** How the provider is started. */
export interface OidcProviderOptions {
  readonly clients: readonly OidcClientSettings[];
  /** The account that signs in; without `channelId` it has no YouTube channel. */
  readonly account?: OidcAccount;
  /** Beside `openid`, `email` and `offline_access`; default: YouTube's upload and read scopes. */
  readonly scopes?: readonly string[];
  readonly rotateRefreshTokens?: boolean;
}

/** What the owner does. */
export interface OidcConsentChoices {
  readonly decision?: 'allow' | 'deny';
  /** Scopes that are not granted. */
  readonly untick?: readonly string[];
}

/** The provider, running. */
export interface OidcProvider extends AsyncDisposable {
  readonly issuer: string;
  /** The same names as the practice Google's, as far as they exist here. */
  readonly endpoints: {
    readonly issuer: string;
    readonly authorization: string;
    readonly token: string;
    readonly revocation: string;
    readonly jwks: string;
    readonly discovery: string;
    readonly youtube: string;
  };
  /** Follows `authorizationUrl` as a browser with cookies would; returns the callback URL without requesting it. */
  consent(authorizationUrl: string, choices?: OidcConsentChoices): Promise<string>;
  close(): Promise<void>;
}

const youtubeScopes = [
  'https://www.googleapis.com/auth/youtube.upload',
  'https://www.googleapis.com/auth/youtube.readonly',
];

const usualAccount = { sub: 'owner-1', email: 'owner@example.com', channelId: 'UCoidc' };

/** Starts the provider on a free port of 127.0.0.1. */
export async function startOidcProvider(options: OidcProviderOptions): Promise<OidcProvider> {
  const account = options.account ?? usualAccount;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = new Provider(issuer, await configuration(options, account));
  const answer = provider.callback();
  const choices = new Map<string, OidcConsentChoices>();

  server.on('request', (request, response) => {
    const handled = request.url?.startsWith('/interaction/')
      ? decide(provider, account.sub, choices, request, response)
      : request.url?.startsWith('/youtube/v3/channels')
        ? listChannels(provider, account.channelId, request, response)
        : answer(request, response);
    handled.catch((error: Error) => response.writeHead(500).end(error.message));
  });

  const close = () => stop(server);
  return {
    issuer,
    endpoints: {
      issuer,
      authorization: `${issuer}/auth`,
      token: `${issuer}/token`,
      revocation: `${issuer}/token/revocation`,
      jwks: `${issuer}/jwks`,
      discovery: `${issuer}/.well-known/openid-configuration`,
      youtube: `${issuer}/youtube/v3`,
    },
    consent(authorizationUrl, given = {}) {
      choices.set(new URL(authorizationUrl).searchParams.get('state') ?? '', given);
      return followToCallback(authorizationUrl, issuer);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function configuration(
  { clients, scopes = youtubeScopes, rotateRefreshTokens = false }: OidcProviderOptions,
  account: OidcAccount,
): Promise<Record<string, unknown>> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  const policy = interactionPolicy.base();
  // Google's `prompt=consent select_account` must be an acceptable request here too.
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0);
  return {
    clients: clients.map((client) => ({
      client_id: client.clientId,
      client_secret: client.clientSecret,
      redirect_uris: client.redirectUris,
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: client.authentication ?? 'client_secret_post',
    })),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'oidc-1' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes: ['openid', 'offline_access', ...scopes],
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    extraParams: ['access_type', 'include_granted_scopes'],
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    interactions: { policy, url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    issueRefreshToken: () => true,
    rotateRefreshToken: rotateRefreshTokens,
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: () => ({ sub, email: account.email, email_verified: true }),
    }),
    ttl: {
      AccessToken: 3600,
      AuthorizationCode: 60,
      Grant: 86_400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
  };
}

/** Answers the prompt that an interaction is about, and sends the browser on. */
async function decide(
  provider: Provider,
  sub: string,
  choices: ReadonlyMap<string, OidcConsentChoices>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { prompt, params } = await provider.interactionDetails(request, response);
  const { decision = 'allow', untick = [] } = choices.get(params.state ?? '') ?? {};
  if (decision === 'deny') {
    return provider.interactionFinished(request, response, { error: 'access_denied' });
  }
  if (prompt.name !== 'consent') {
    return provider.interactionFinished(request, response, { login: { accountId: sub }, select_account: {} });
  }
  const grant = new provider.Grant({ accountId: sub, clientId: params.client_id ?? '' });
  const scopes = (params.scope ?? '').split(' ').filter((scope) => !untick.includes(scope));
  grant.addOIDCScope(scopes.join(' '));
  // Decided too: otherwise it would be asked for again and again.
  grant.rejectOIDCScope(untick.join(' '));
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

async function listChannels(
  provider: Provider,
  channelId: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const token: FoundAccessToken | undefined = await provider.AccessToken.find(bearer);
  const known = token !== undefined && !token.isExpired;
  const allowed = token?.scope?.split(' ').includes('https://www.googleapis.com/auth/youtube.readonly') ?? false;
  const items =
    channelId === undefined ? [] : [{ kind: 'youtube#channel', id: channelId, snippet: { title: channelId } }];
  const status = known ? (allowed ? 200 : 403) : 401;
  const body =
    status === 200
      ? { kind: 'youtube#channelListResponse', pageInfo: { totalResults: items.length }, items }
      : { error: { code: status, message: known ? 'insufficientPermissions' : 'authError' } };
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function followToCallback(authorizationUrl: string, issuer: string): Promise<string> {
  const cookies = new Map<string, string>();
  let url = authorizationUrl;
  for (let hops = 0; hops < 12; hops += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: cookie === '' ? {} : { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const at = pair.indexOf('=');
      cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = response.headers.get('location');
    if (location === null) throw new Error(`oidc-provider refused the request: ${await response.text()}`);
    await response.body?.cancel();
    url = new URL(location, url).href;
    if (!url.startsWith(issuer)) return url;
  }
  throw new Error('the consent at oidc-provider never came to an end');
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
