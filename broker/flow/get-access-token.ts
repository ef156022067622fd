/**
 * Releases a channel's access token to a workload: may it read the channel → is the channel alive → are the scopes
 * granted → a fresh token from the cache, or one refresh → audited, then answered.
 *
 * A valid token never waits for Google or Vault, and is served although its refresh fails. It does not wait for long for
 * PostgreSQL either: where that does not answer, what was read last decides (look-up-readable.ts), the record goes to the
 * spool (record-in-groups.ts), and nothing is refreshed.
 */
import { auditRecord, fingerprint, sha256 } from '../domain/audit-record.ts';
import type { Workload } from '../domain/caller.ts';
import { isChannelId } from '../domain/identifier.ts';
import { isFreshEnough } from '../domain/refresh-schedule.ts';
import { releaseVerdict } from '../domain/release.ts';
import { missingScopes } from '../domain/scope.ts';
import type { Secret } from '../domain/secret.ts';
import type { BucketRules } from '../domain/token-bucket.ts';
import { permissionOf, usableScopes } from '../domain/workload-rule.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type { AccessTokenCache, CachedToken, Clock, RateLimits, ReadableGrant, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { isUnavailable } from './database-presence.ts';
import { invalid } from './input.ts';
import type { LookUpReadable } from './look-up-readable.ts';
import type { RefreshChannel } from './refresh-channel.ts';

/** Google's clients ask again below 300 s (Node) or 225 s (Python, Go, Java) of remaining life; a minute is for the way. */
const defaultMinTtlSeconds = 360;
/** A token with less left is not worth handing out. */
const leastUsefulSeconds = 10;
/** How long a reader waits for a refresh who has set no deadline. */
const defaultPatienceMs = 10_000;
/** How long at most, where a token is at hand that is still good for something. */
const patienceWithTokenMs = 2_000;

export interface AccessTokenRequest {
  readonly channel: string;
  /** A token with less life left, in seconds, is refreshed first, where that is possible now; 0 leaves it to the broker. */
  readonly minTtlSeconds: number;
  readonly scopes: readonly string[];
  readonly reason: string;
  /** SHA-256 of a token that Google refused, in lower-case hexadecimal; empty where there was none. */
  readonly rejectedTokenSha256?: string;
  /** How long the caller still waits for a refresh, in milliseconds; absent where it has not said. */
  readonly patienceMs?: (() => number) | undefined;
}

export interface ReleasedToken {
  readonly accessToken: Secret<string>;
  readonly expiresAt: Date;
  readonly scopes: readonly string[];
  readonly youtubeChannelId: string;
  readonly generation: number;
}

/** What the decision to release rests on. */
interface Decided {
  readonly tenant: string;
  readonly grant: ReadableGrant;
  /** Those granted that the workload may ask for. */
  readonly scopes: readonly string[];
  /** When the database said so, where it does not answer now. */
  readonly rememberedFrom: Date | undefined;
}

interface Found {
  readonly token: CachedToken;
  readonly source: 'cache' | 'refresh' | 'cache-while-refreshing' | 'cache-despite-failure';
  /** What it rests on in the end. */
  readonly decision: Decided;
  /** Whether the caller said that Google refused the very token that was in the cache. */
  readonly wasRejected: boolean;
}

export function createGetAccessToken(deps: {
  authorize: Authorize;
  store: Pick<Store, 'audit'>;
  lookUpReadable: LookUpReadable;
  cache: AccessTokenCache;
  refreshChannel: Pick<RefreshChannel, 'refresh'>;
  /** Told that a workload that may read the channel does. */
  onUsed: (channel: string) => void;
  clock: Clock;
  /** Waits; ends early when the signal fires. */
  sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  rateLimits: Pick<RateLimits, 'take'>;
  /** Of one workload, all replicas together: refreshes of tokens that are fresh enough for everybody else. */
  forcedRate: BucketRules;
}) {
  const { authorize, store, lookUpReadable, cache, refreshChannel, onUsed, clock, sleep, rateLimits, forcedRate } =
    deps;

  return async (caller: Workload, request: AccessTokenRequest): Promise<ReleasedToken> => {
    if (request.reason.length > 256) throw invalid('reason: at most 256 characters');
    if (!/^([0-9a-f]{64})?$/.test(request.rejectedTokenSha256 ?? ''))
      throw invalid('rejected_token_sha256: not a SHA-256 in lower-case hexadecimal');
    if (!isChannelId(request.channel)) throw invalid('channel_id: not the id of a channel (ch_ and 26 characters)');
    const first = await decide(caller, request);
    onUsed(request.channel);

    const { token, source, decision, wasRejected } = await find(caller, request, first);
    const { tenant, grant, rememberedFrom } = decision;
    const facts = {
      accessToken: fingerprint(token.accessToken.reveal()),
      expiresAt: token.expiresAt.toISOString(),
      source,
      reason: request.reason,
      certificate: caller.certificateSerial,
      ...(wasRejected && { rejected: true }),
      ...(rememberedFrom && { decision: 'remembered', decidedAt: rememberedFrom.toISOString() }),
    };
    const target = { tenant, channel: request.channel };
    await store.audit.append(auditRecord(clock.now(), caller, 'token.release', 'ok', target, facts));
    const { youtubeChannelId, generation } = grant;
    const { scopes } = decision;
    return { accessToken: token.accessToken, expiresAt: token.expiresAt, scopes, youtubeChannelId, generation };
  };

  /** May this workload have the token of this channel now? Refuses, on record, where it may not. */
  async function decide(caller: Workload, request: AccessTokenRequest): Promise<Decided> {
    const { channel, rememberedFrom } = await lookUpReadable.find(caller.spiffeId, request.channel);
    const target = { tenant: channel?.tenant, channel: request.channel };
    const refuse = (code: Parameters<Authorize['refuse']>[2], detail: string) =>
      authorize.refuse(caller, 'token.release', code, target, detail);

    const permission = channel && permissionOf(channel.rules, clock.now());
    const standing = channel && { ...channel, grantedScopes: channel.grant?.scopes };
    const refusal = releaseVerdict(standing, permission);
    if (!channel) return refuse(refusal ?? 'ACCESS_DENIED', 'unknown channel');
    if (!permission) return refuse(refusal ?? 'ACCESS_DENIED', 'workload has no access');
    if (refusal)
      return refuse(refusal, refusal === 'TOKEN_TOO_WIDE' ? 'grant wider than the rule' : `state ${channel.state}`);
    if (!channel.grant) return refuse('CONSENT_PENDING', 'no grant');
    const scopes = usableScopes(channel.grant.scopes, permission);
    const missing = missingScopes(request.scopes, scopes);
    if (missing.length > 0) return refuse('SCOPE_NOT_GRANTED', `not granted: ${missing.join(' ')}`);
    return { tenant: channel.tenant, grant: channel.grant, scopes, rememberedFrom };
  }

  /**
   * A refresh takes some time: channel or rule may have been taken away meanwhile. The generation stays that of before: a
   * newer one is told to subscribers, and what was released of this one is void then.
   */
  async function decideAgain(caller: Workload, request: AccessTokenRequest, before: Decided): Promise<Decided> {
    try {
      return { ...(await decide(caller, request)), grant: before.grant };
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return before;
    }
  }

  /** A worker that wants another token than everybody else is content with is heard so often in a minute and no more. */
  async function requireForcedTurn({ spiffeId }: Workload): Promise<void> {
    const { granted, waitMs } = await rateLimits.take(`forced ${spiffeId}`, '', forcedRate, 0);
    if (granted) return;
    throw new BrokerError('RATE_LIMITED', { detail: 'forced refreshes', retryAfter: Math.ceil(waitMs / 1_000) });
  }

  async function find(caller: Workload, request: AccessTokenRequest, decision: Decided): Promise<Found> {
    const { tenant, grant, rememberedFrom } = decision;
    const { accessTokenCacheKey: key, tokenExpiresAt } = grant;
    const cached = key === undefined ? undefined : await cache.get(tenant, key, tokenExpiresAt);
    const now = clock.now();
    const wanted = request.minTtlSeconds || defaultMinTtlSeconds;
    // Nobody is believed but about the token that would be given: any other has been replaced already.
    const wasRejected =
      cached !== undefined &&
      Boolean(request.rejectedTokenSha256) &&
      sha256(cached.accessToken.reveal()) === request.rejectedTokenSha256;
    const isFresh =
      cached && isFreshEnough({ expiresAt: cached.expiresAt, refreshedAt: grant.refreshedAt }, now, wanted);
    if (isFresh && !wasRejected) return { token: cached, source: 'cache', decision, wasRejected };
    const isUsable = () =>
      cached !== undefined && cached.expiresAt.getTime() - clock.now().getTime() >= leastUsefulSeconds * 1000;
    try {
      const isForced =
        cached && isFreshEnough({ ...cached, refreshedAt: grant.refreshedAt }, now, defaultMinTtlSeconds);
      if (isForced) await requireForcedTurn(caller);
      if (rememberedFrom) throw new BrokerError('STORE_UNAVAILABLE', { detail: 'nothing is refreshed without it' });
      const token = await refresh(caller, request, isUsable());
      // The channel, or the access to it, may have ended since: by a security event, or while the grant was being proven.
      return { token, source: 'refresh', decision: await decideAgain(caller, request, decision), wasRejected };
    } catch (error) {
      const { code, row } = asBrokerError(error);
      if (!cached || !isUsable() || !row.retry) throw error;
      // It has been some time: the channel may have been taken away meanwhile.
      const still = await decide(caller, request);
      if (still.grant.generation !== grant.generation) throw error;
      const source = code === 'REFRESH_IN_PROGRESS' ? 'cache-while-refreshing' : 'cache-despite-failure';
      return { token: cached, source, decision: still, wasRejected };
    }
  }

  /** One refresh for all who ask; this one waits for it as long as it may. */
  async function refresh(caller: Workload, request: AccessTokenRequest, hasToken: boolean): Promise<CachedToken> {
    const own = request.patienceMs?.() ?? defaultPatienceMs;
    const over = new AbortController();
    const impatient = new AbortController();
    void sleep(hasToken ? Math.min(own, patienceWithTokenMs) : own, over.signal).then(() => impatient.abort());
    try {
      return await refreshChannel.refresh(caller, request.channel, impatient.signal);
    } finally {
      over.abort();
    }
  }
}
