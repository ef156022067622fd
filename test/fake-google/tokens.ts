/**
 * Codes, refresh tokens, access tokens and what ends them. Nothing here runs on timers: whether a token lives is
 * computed from the clock when somebody shows it.
 *
 * A refresh token ends by: its own expiry (testing mode, time-based access), six months without use, the limit of
 * live tokens per identity and client (the oldest goes, silently), rotation, replay of its code, or a revocation,
 * which reaches all clients of the project for that identity and may take effect late (reference G1–G3, G31–G33).
 */
import { type Clock, day, minute, second } from './clock.ts';
import { type ConsentBook, createConsentBook } from './consents.ts';
import type { AccessToken, AuthorizationCode, Issued, RefreshToken } from './issued.ts';
import type { RandomNames } from './random.ts';
import { createRevocationBook, type RevocationTiming } from './revocations.ts';
import { isSignInScope } from './scopes.ts';
import type { Client, Identity } from './world.ts';

/** The settings of token issue; the defaults are Google's. */
export interface TokenSettings {
  readonly refreshTokensPerIdentityAndClient: number;
  readonly codeLifetime: number;
}

/** Google's limits (reference G2) and a code that lives ten minutes. */
export const usualTokenSettings: TokenSettings = { refreshTokensPerIdentityAndClient: 100, codeLifetime: 10 * minute };

const testingModeLifetime = 7 * day;
const longestIdleTime = 183 * day;

type CodeSettings = Pick<
  AuthorizationCode,
  'client' | 'identity' | 'scopes' | 'redirectUri' | 'challenge' | 'nonce' | 'offline'
>;
type GrantSettings = Pick<Issued, 'client' | 'identity' | 'scopes'> & {
  readonly code?: string | undefined;
  readonly boundTo?: string | undefined;
};

/** All tokens of the practice world. `find…` returns live ones only. */
export interface TokenBook {
  issueCode(settings: CodeSettings): AuthorizationCode;
  /** Finds a code in any state; the token endpoint decides what it is worth. */
  findCode(code: string): AuthorizationCode | undefined;
  isCodeLive(code: AuthorizationCode): boolean;
  /** Ends every token that came from `code` (RFC 6749 section 4.1.2: replay). */
  endTokensOfCode(code: string): void;
  issueRefreshToken(settings: GrantSettings): RefreshToken;
  /** Issues the refresh token that takes the place of `old`. */
  rotate(old: RefreshToken): RefreshToken;
  issueAccessToken(settings: GrantSettings & { readonly refreshToken?: RefreshToken | undefined }): AccessToken;
  findRefreshToken(token: string): RefreshToken | undefined;
  findAccessToken(token: string): AccessToken | undefined;
  /** Tells whose token this is, live or not; for fault rules and the owner's revocation. */
  ownerOf(token: string): { readonly client: Client; readonly identity: Identity } | undefined;
  /** Records that the identity consented, also where nothing is issued yet. */
  recordConsent(consent: Pick<Issued, 'client' | 'identity' | 'scopes'>): void;
  readonly consents: Omit<ConsentBook, 'add'>;
  /** Takes back everything that `identity` gave to `project`. */
  revoke(project: string, identity: Identity, timing: RevocationTiming): void;
  /** Lets a refresh or access token expire now. Tells whether there was one. */
  expire(token: string): boolean;
  /** All refresh tokens that live now. */
  liveRefreshTokens(): readonly RefreshToken[];
}

/** Creates an empty book. */
export function createTokenBook({
  clock,
  names,
  settings = usualTokenSettings,
}: {
  clock: Clock;
  names: RandomNames;
  settings?: TokenSettings;
}): TokenBook {
  const codes = new Map<string, AuthorizationCode>();
  const refreshTokens = new Map<string, RefreshToken>();
  const accessTokens = new Map<string, AccessToken>();
  const standingTokens = new Map<string, RefreshToken[]>();
  const revocations = createRevocationBook({ clock });
  const consents = createConsentBook({ revocations });
  let serial = 0;

  const pair = (name: string, identity: Identity) => `${name} ${identity.sub}`;
  const issue = ({ client, identity, scopes }: Pick<Issued, 'client' | 'identity' | 'scopes'>): Issued => {
    serial += 1;
    return { client, identity, scopes, serial, issuedAt: clock.now() };
  };

  function isRefreshTokenLive(token: RefreshToken): boolean {
    const now = clock.now();
    if (token.ended || revocations.reaches(token)) return false;
    if (token.expiresAt !== undefined && token.expiresAt <= now) return false;
    return now - token.lastUsedAt < longestIdleTime;
  }

  function isAccessTokenLive(token: AccessToken): boolean {
    return token.expiresAt > clock.now() && !token.replayed && !revocations.reaches(token);
  }

  function refreshTokenExpiry({ client, scopes }: GrantSettings): number | undefined {
    if (client.timeBasedAccess !== undefined) return clock.now() + client.timeBasedAccess * second;
    const onlySignIn = scopes.every(isSignInScope);
    return client.publishing === 'testing' && !onlySignIn ? clock.now() + testingModeLifetime : undefined;
  }

  function keepWithinLimit(token: RefreshToken): void {
    const key = pair(token.client.clientId, token.identity);
    const standing = (standingTokens.get(key) ?? []).filter(isRefreshTokenLive);
    standing.push(token);
    const surplus = standing.length - settings.refreshTokensPerIdentityAndClient;
    for (const oldest of standing.splice(0, Math.max(0, surplus))) oldest.ended = 'limit';
    standingTokens.set(key, standing);
  }

  function addRefreshToken(grant: GrantSettings, expiresAt: number | undefined): RefreshToken {
    const token: RefreshToken = {
      ...issue(grant),
      token: names.refreshToken(),
      code: grant.code,
      expiresAt,
      boundTo: grant.boundTo,
      lastUsedAt: clock.now(),
      ended: undefined,
    };
    refreshTokens.set(token.token, token);
    keepWithinLimit(token);
    return token;
  }

  /** Forgets access tokens that have expired, oldest first: a benchmark issues hundreds of thousands. */
  function forgetExpiredAccessTokens(): void {
    for (const [name, token] of accessTokens) {
      if (token.expiresAt > clock.now()) return;
      accessTokens.delete(name);
    }
  }

  return {
    issueCode(given) {
      const code: AuthorizationCode = {
        ...given,
        ...issue(given),
        code: names.code(),
        expiresAt: clock.now() + settings.codeLifetime,
        redeemed: false,
      };
      codes.set(code.code, code);
      return code;
    },
    findCode: (code) => codes.get(code),
    isCodeLive: (code) => code.expiresAt > clock.now() && !revocations.reaches(code),
    endTokensOfCode(code) {
      for (const token of refreshTokens.values()) if (token.code === code) token.ended = 'code replayed';
      for (const token of accessTokens.values()) if (token.code === code) token.replayed = true;
    },
    issueRefreshToken: (grant) => addRefreshToken(grant, refreshTokenExpiry(grant)),
    rotate(old) {
      old.ended = 'rotated';
      return addRefreshToken(old, old.expiresAt);
    },
    issueAccessToken(grant) {
      forgetExpiredAccessTokens();
      const token: AccessToken = {
        ...issue(grant),
        token: names.accessToken(),
        code: grant.code ?? grant.refreshToken?.code,
        refreshToken: grant.refreshToken,
        expiresAt: clock.now() + grant.client.accessTokenLifetime * second,
        replayed: false,
      };
      accessTokens.set(token.token, token);
      return token;
    },
    findRefreshToken(name) {
      const token = refreshTokens.get(name);
      return token && isRefreshTokenLive(token) ? token : undefined;
    },
    findAccessToken(name) {
      const token = accessTokens.get(name);
      return token && isAccessTokenLive(token) ? token : undefined;
    },
    ownerOf: (name) => refreshTokens.get(name) ?? accessTokens.get(name) ?? codes.get(name),
    consents,
    recordConsent: (consent) => consents.add(issue(consent)),
    revoke: (project, identity, timing) => revocations.add(project, identity, serial, timing),
    expire(name) {
      const refreshToken = refreshTokens.get(name);
      if (refreshToken) refreshToken.ended = 'expired by a test';
      const accessToken = accessTokens.get(name);
      if (accessToken) accessToken.expiresAt = clock.now();
      return refreshToken !== undefined || accessToken !== undefined;
    },
    liveRefreshTokens: () => [...refreshTokens.values()].filter(isRefreshTokenLive),
  };
}
