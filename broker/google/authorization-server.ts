/**
 * Google's authorization server, or any other that keeps the same standards: its endpoints come from configuration.
 *
 * google-auth-library writes the authorization URL. The token requests are our own (token-endpoint.ts): the library
 * repeats a code grant after a 5xx, has no deadline, no DPoP, and hides the fields that the failure classes are read
 * from. ID tokens are checked by the same verifier as the admins' (broker/jwt.ts), which takes the time as an argument.
 */
import { createHash } from 'node:crypto';
import { CodeChallengeMethod, OAuth2Client } from 'google-auth-library';
import type { RandomBytes } from '../domain/identifier.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { VerifyJwt } from '../jwt.ts';
import type {
  AuthorizationServer,
  Clock,
  DpopKeys,
  OAuthClient,
  OAuthClientSecrets,
  RevocationAnswer,
  TokenOutcome,
} from '../ports.ts';
import { createSecretsToTry } from './client-secrets.ts';
import { codeJti, createProofs, freshJti } from './dpop-proof.ts';
import { requestRevocation } from './revocation-endpoint.ts';
import { requestToken, type TokenAnswer } from './token-endpoint.ts';

export interface AuthorizationServerSettings {
  readonly issuer: string;
  readonly authorizationUrl: string;
  readonly tokenUrl: string;
  /** RFC 7009. */
  readonly revocationUrl: string;
  /** The exact redirect URI registered for our OAuth clients. */
  readonly redirectUri: string;
  readonly deadlineMs: number;
}

type Grant = 'authorization_code' | 'refresh_token';

/** How a grant is bound by DPoP. */
interface Bound {
  readonly keyVersion: number;
  readonly jti: () => string;
}

export function createAuthorizationServer(deps: {
  settings: AuthorizationServerSettings;
  secrets: OAuthClientSecrets;
  dpopKeys: DpopKeys;
  verifyJwt: VerifyJwt;
  clock: Clock;
  random: RandomBytes;
}): AuthorizationServer {
  const { settings, secrets, dpopKeys, verifyJwt, clock, random } = deps;
  const secretsToTry = createSecretsToTry({ secrets, clock });
  const prove = createProofs({ keys: dpopKeys, clock });
  /** `grant client` → the newest nonce that the server gave. */
  const nonces = new Map<string, string>();

  async function grant(
    client: OAuthClient,
    type: Grant,
    parameters: Readonly<Record<string, string>>,
    bound: Bound | undefined,
  ): Promise<TokenOutcome> {
    let outcome: TokenOutcome | undefined;
    // While a secret is being replaced at Google, the former one may be the good one. A client that is not let in has
    // used nothing up: neither the code nor the refresh token.
    for await (const { secret } of secretsToTry(client.name)) {
      outcome = await grantWith(secret, client, type, parameters, bound);
      if (outcome.ok || outcome.failure.error !== 'invalid_client') return outcome;
    }
    if (!outcome) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND', { detail: `no secret of ${client.name}` });
    return outcome;
  }

  async function grantWith(
    secret: Secret<string>,
    client: OAuthClient,
    type: Grant,
    parameters: Readonly<Record<string, string>>,
    bound: Bound | undefined,
  ): Promise<TokenOutcome> {
    const form = { grant_type: type, client_id: client.clientId, client_secret: secret.reveal(), ...parameters };
    const space = `${type} ${client.name}`;

    const ask = async (): Promise<TokenAnswer> => {
      const nonce = nonces.get(space);
      const proof = bound
        ? await prove({
            oauthClient: client.name,
            keyVersion: bound.keyVersion,
            url: settings.tokenUrl,
            jti: bound.jti(),
            nonce,
          })
        : undefined;
      const answer = await requestToken({
        url: settings.tokenUrl,
        form,
        proof,
        dpopKeyVersion: bound?.keyVersion,
        deadlineMs: settings.deadlineMs,
        now: () => clock.now(),
      });
      if (answer.nonce !== undefined) nonces.set(space, answer.nonce);
      return answer;
    };

    const first = await ask();
    const wantsNonce =
      !first.outcome.ok && first.outcome.failure.error === 'use_dpop_nonce' && first.nonce !== undefined;
    return (bound && wantsNonce ? await ask() : first).outcome;
  }

  return {
    redirectUri: settings.redirectUri,
    issuer: settings.issuer,

    authorizationUrl({ client, scopes, state, nonce, codeVerifier, loginHint }) {
      const library = new OAuth2Client({
        clientId: client.clientId,
        redirectUri: settings.redirectUri,
        endpoints: { oauth2AuthBaseUrl: settings.authorizationUrl },
      });
      return library.generateAuthUrl({
        access_type: 'offline',
        // The account chooser leads on to the brand-channel chooser; `consent` makes Google send a refresh token.
        prompt: 'consent select_account',
        scope: [...scopes],
        state: state.reveal(),
        code_challenge_method: CodeChallengeMethod.S256,
        code_challenge: createHash('sha256').update(codeVerifier.reveal()).digest('base64url'),
        nonce,
        ...(loginHint === undefined ? {} : { login_hint: loginHint }),
      });
    },

    async exchangeCode(client, code, codeVerifier) {
      const parameters = {
        code: code.reveal(),
        redirect_uri: settings.redirectUri,
        code_verifier: codeVerifier.reveal(),
      };
      const bound = client.dpop
        ? { keyVersion: (await dpopKeys.current(client.name)).version, jti: () => codeJti(code) }
        : undefined;
      return grant(client, 'authorization_code', parameters, bound);
    },

    refresh(client, refreshToken, dpopKeyVersion) {
      const bound =
        dpopKeyVersion === undefined ? undefined : { keyVersion: dpopKeyVersion, jti: () => freshJti(random) };
      return grant(client, 'refresh_token', { refresh_token: refreshToken.reveal() }, bound);
    },

    async acceptsSecret(client, secret) {
      // Whoever is let in with a token that nobody has issued is told about the token, not about the client.
      const form = {
        grant_type: 'refresh_token',
        client_id: client.clientId,
        client_secret: secret.reveal(),
        refresh_token: 'does-the-client-secret-work',
      };
      const { outcome } = await requestToken({
        url: settings.tokenUrl,
        form,
        proof: undefined,
        dpopKeyVersion: undefined,
        deadlineMs: settings.deadlineMs,
        now: () => clock.now(),
      });
      if (outcome.ok) return true;
      const failure = outcome.failure.class;
      if (failure === 'unavailable' || failure === 'rate_limited') return undefined;
      return failure !== 'client_rejected';
    },

    async revoke(client, token) {
      const ask = (credentials: Readonly<Record<string, string>>) =>
        requestRevocation({
          url: settings.revocationUrl,
          form: { token: token.reveal(), ...credentials },
          deadlineMs: settings.deadlineMs,
        });
      // Google wants the token alone. Others want the client to say who it is (RFC 7009 section 2.1).
      let answer = await ask({});
      if (!wantsClient(answer)) return answer;
      for await (const { secret } of secretsToTry(client.name)) {
        answer = await ask({ client_id: client.clientId, client_secret: secret.reveal() });
        if (!wantsClient(answer)) break;
      }
      return answer;
    },

    async verifyIdToken(client, idToken, nonce) {
      const claims = await identify(client, idToken, nonce);
      const { sub, email } = claims;
      if (typeof sub !== 'string' || sub === '') {
        throw new BrokerError('INVALID_AUTHORIZATION_RESPONSE', { detail: 'ID token without sub' });
      }
      return { subject: sub, email: typeof email === 'string' ? email : undefined };
    },
  };

  async function identify(client: OAuthClient, idToken: Secret<string>, nonce: string | undefined) {
    try {
      return await verifyJwt(idToken, { audience: client.clientId, ...(nonce === undefined ? {} : { nonce }) });
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'UNAUTHENTICATED') throw error;
      const detail = `ID token: ${error.detail ?? 'not valid'}`;
      throw new BrokerError('INVALID_AUTHORIZATION_RESPONSE', { detail, cause: error });
    }
  }
}

function wantsClient(answer: RevocationAnswer): boolean {
  return answer.result === 'failed' && ['invalid_client', 'invalid_request'].includes(answer.failure.error ?? '');
}
