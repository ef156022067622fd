/**
 * What the broker expects of any authorization server, Google or not. The suite runs against the practice Google and
 * against the certified `oidc-provider`; where the two could differ by right, it asserts what the RFCs say.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import {
  type PlainClient,
  readAnswer,
  redeemCode,
  refresh,
  requestToken,
  startConsent,
  type TokenAnswer,
} from '../support/plain-oauth-client.ts';

/** An authorization server with one client and one willing owner. */
export interface AuthorizationServerUnderTest {
  readonly issuer: string;
  readonly endpoints: {
    readonly authorization: string;
    readonly token: string;
    readonly revocation: string;
    readonly jwks: string;
    readonly discovery: string;
    /** Base of a YouTube Data API that takes this server's access tokens. */
    readonly youtube: string;
  };
  readonly client: { readonly clientId: string; readonly clientSecret: string; readonly redirectUri: string };
  /** Walks the consent and returns the callback URL without requesting it. */
  consent(authorizationUrl: string, decision: 'allow' | 'deny'): Promise<string>;
  close(): Promise<void>;
}

/** The scopes that the broker asks for. */
export const brokerScopes = [
  'openid',
  'email',
  'https://www.googleapis.com/auth/youtube.upload',
  'https://www.googleapis.com/auth/youtube.readonly',
] as const;

const offlineConsent = { scope: brokerScopes.join(' '), access_type: 'offline', prompt: 'consent select_account' };

/** Runs the contract against the server that `start` starts. */
export function describeAuthorizationServer(name: string, start: () => Promise<AuthorizationServerUnderTest>): void {
  describe(`${name} as an authorization server`, () => {
    let server: AuthorizationServerUnderTest;
    let client: PlainClient;

    before(async () => {
      server = await start();
      const { authorization, token } = server.endpoints;
      client = { ...server.client, authorizationEndpoint: authorization, tokenEndpoint: token };
    });
    after(() => server.close());

    async function grant(parameters: Record<string, string> = {}): Promise<TokenAnswer> {
      const { url, verifier } = startConsent(client, { ...offlineConsent, ...parameters });
      return redeemCode(client, await server.consent(url, 'allow'), verifier);
    }

    it('publishes its endpoints in a discovery document of its own issuer', async () => {
      const { body } = await readAnswer(await fetch(server.endpoints.discovery));
      assert.equal(body.issuer, server.issuer);
      assert.equal(body.authorization_endpoint, server.endpoints.authorization);
      assert.equal(body.token_endpoint, server.endpoints.token);
      assert.equal(body.revocation_endpoint, server.endpoints.revocation);
      assert.equal(body.jwks_uri, server.endpoints.jwks);
      assert.ok((body.code_challenge_methods_supported as string[]).includes('S256'));
    });

    it('brings the code back with the state and, if it names an issuer, with its own', async () => {
      const { url } = startConsent(client, { ...offlineConsent, state: 'a state' });
      const { origin, pathname, searchParams } = new URL(await server.consent(url, 'allow'));
      assert.equal(`${origin}${pathname}`, client.redirectUri);
      assert.deepEqual(searchParams.getAll('state'), ['a state']);
      assert.equal(searchParams.getAll('code').length, 1);
      assert.ok([undefined, server.issuer].includes(searchParams.get('iss') ?? undefined));
    });

    it('brings access_denied back with the state when the owner declines', async () => {
      const { url } = startConsent(client, { ...offlineConsent, state: 'a state' });
      const { searchParams } = new URL(await server.consent(url, 'deny'));
      assert.equal(searchParams.get('error'), 'access_denied');
      assert.equal(searchParams.get('state'), 'a state');
      assert.equal(searchParams.get('code'), null);
    });

    it('never sends the browser to a redirect URI that is not registered', async () => {
      const { url } = startConsent(client, { ...offlineConsent, redirect_uri: `${client.redirectUri}/` });
      const response = await fetch(url, { redirect: 'manual' });
      assert.ok(response.status >= 400, `status ${response.status}`);
      assert.equal(response.headers.get('location'), null);
      await response.body?.cancel();
    });

    it('redeems a code for a bearer token, a refresh token and the granted scopes', async () => {
      const { status, body, headers } = await grant();
      assert.equal(status, 200);
      assert.equal(body.token_type, 'Bearer');
      assert.ok(Number(body.expires_in) > 0);
      assert.ok(body.access_token && body.refresh_token);
      const scopes = new Set(body.scope?.split(' '));
      for (const scope of brokerScopes) {
        assert.ok(scopes.has(scope) || scopes.has(`https://www.googleapis.com/auth/userinfo.${scope}`), scope);
      }
      assert.match(headers.get('cache-control') ?? '', /no-store/);
    });

    it('signs an ID token that its published keys verify', async () => {
      const { body } = await grant({ nonce: 'a nonce' });
      const keys = createRemoteJWKSet(new URL(server.endpoints.jwks));
      const { payload, protectedHeader } = await jwtVerify(body.id_token ?? '', keys, {
        issuer: server.issuer,
        audience: client.clientId,
      });
      assert.equal(protectedHeader.alg, 'RS256');
      assert.equal(payload.nonce, 'a nonce');
      assert.ok(payload.sub);
      assert.match(String(payload.email), /@/);
    });

    it('refuses a code shown with another verifier', async () => {
      const { url } = startConsent(client, offlineConsent);
      const { verifier: another } = startConsent(client, offlineConsent);
      const { status, body } = await redeemCode(client, await server.consent(url, 'allow'), another);
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
    });

    it('refuses a code shown a second time and ends the tokens of the first', async () => {
      const { url, verifier } = startConsent(client, offlineConsent);
      const callbackUrl = await server.consent(url, 'allow');
      const first = await redeemCode(client, callbackUrl, verifier);
      const second = await redeemCode(client, callbackUrl, verifier);
      assert.deepEqual([second.status, second.body.error], [400, 'invalid_grant']);
      const { status, body } = await refresh(client, first.body.refresh_token);
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
    });

    it('refreshes again and again with one refresh token', async () => {
      const { body } = await grant();
      const first = await refresh(client, body.refresh_token);
      const second = await refresh(client, body.refresh_token);
      assert.deepEqual([first.status, second.status], [200, 200]);
      assert.notEqual(first.body.access_token, body.access_token);
      assert.notEqual(second.body.access_token, first.body.access_token);
    });

    it('answers the token request of a client with the wrong secret with invalid_client', async () => {
      const { body: granted } = await grant();
      const { status, body } = await refresh({ ...client, clientSecret: 'wrong' }, granted.refresh_token);
      assert.deepEqual([status, body.error], [401, 'invalid_client']);
    });

    it('answers a refresh token it never issued with invalid_grant, as JSON that nobody caches', async () => {
      const { status, body, headers } = await refresh(client, 'never-issued');
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
      assert.equal(typeof body.error_description, 'string');
      assert.match(headers.get('cache-control') ?? '', /no-store/);
    });

    it('answers a grant type it does not offer with unsupported_grant_type', async () => {
      const { status, body } = await requestToken(client, { grant_type: 'urn:example:no-such-grant' });
      assert.deepEqual([status, body.error], [400, 'unsupported_grant_type']);
    });

    it('ends a refresh token at its revocation endpoint', async () => {
      const { body: granted } = await grant();
      const revocation = await requestToken(
        { ...client, tokenEndpoint: server.endpoints.revocation },
        { token: granted.refresh_token ?? '' },
      );
      assert.equal(revocation.status, 200);
      const { status, body } = await refresh(client, granted.refresh_token);
      assert.deepEqual([status, body.error], [400, 'invalid_grant']);
    });

    it('issues access tokens that identify exactly one YouTube channel', async () => {
      const { body } = await grant();
      const channels = await readAnswer(
        await fetch(`${server.endpoints.youtube}/channels?part=id,snippet&mine=true`, {
          headers: { authorization: `Bearer ${body.access_token}` },
        }),
      );
      assert.equal(channels.status, 200);
      assert.equal((channels.body.items as unknown[]).length, 1);
    });
  });
}
