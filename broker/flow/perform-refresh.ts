/**
 * One refresh grant, for a channel that has been claimed: decrypt → refresh at Google → store → cache.
 *
 * What a failure does depends on its class alone (domain/token-endpoint-failure.ts). Only a dead grant, confirmed, or a
 * Workspace administrator's block changes the channel's state; every fault of ours, of the network or of the OAuth
 * client leaves it as it is and is tried again later and later.
 */
import { type AuditRecord, auditRecord, fingerprint } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import { tokenNames } from '../domain/identifier.ts';
import { retryAt } from '../domain/refresh-schedule.ts';
import type { Secret } from '../domain/secret.ts';
import type { FailureClass, TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type {
  AccessTokenCache,
  AuthorizationServer,
  CachedToken,
  Clock,
  OAuthClient,
  RefreshClaim,
  RefreshTokenSpool,
  RotatedGrant,
  SpoolPlace,
  Store,
  StoredOAuthClient,
  TenantKeys,
  TokenOutcome,
  TokenResponse,
  YouTube,
} from '../ports.ts';
import { persist } from '../resilience.ts';
import { createEndGrant, createWhyEnded } from './end-grant.ts';
import type { OAuthClientIncidents } from './oauth-client-incidents.ts';
import { isProofDue, type PlanRefresh } from './plan-refresh.ts';
import { createProveChannel, missingOf } from './prove-channel.ts';
import { claimMs } from './refresh-channel.ts';
import { type EndingVerdict, isExplained, RefreshRefused, verdicts, wantsConfirmation } from './refresh-verdict.ts';

/** A proof that YouTube did not answer is tried again after this: it is a day's worth, and one unit of quota. */
const proveAgainMs = 3_600_000;

export interface RefreshDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly spool: RefreshTokenSpool;
  readonly google: AuthorizationServer;
  readonly youtube: YouTube;
  readonly cache: AccessTokenCache;
  readonly clock: Clock;
  /** When a channel is refreshed next. */
  readonly planRefresh: PlanRefresh;
  /** The name of this replica. */
  readonly replica: string;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  /** Waits before a confirming question. */
  readonly pause: (ms: number) => Promise<void>;
  /** Where many grants of one OAuth client seem dead at once, none is ended. */
  readonly incidents: Pick<OAuthClientIncidents, 'withholds' | 'proven'>;
  /** Told the result of each refresh: `ok` or the class of the failure. */
  readonly onRefreshed: (result: 'ok' | FailureClass | 'broker_fault') => void;
}

/** Answers the new access token; throws the error that a reader of the channel is to be told. */
export type PerformRefresh = (caller: Caller, claim: RefreshClaim) => Promise<CachedToken>;

export function createPerformRefresh(deps: RefreshDeps): PerformRefresh {
  const { store, keys, spool, google, cache, clock, onRefreshed } = deps;
  const pauseBriefly = () => deps.pause(200 + deps.randomFraction() * 800);
  const endGrant = createEndGrant(deps);
  const whyEnded = createWhyEnded(deps);
  const proveChannel = createProveChannel({ ...deps, endGrant, pauseBriefly });
  /** OAuth client → the look-up that runs: a batch of refreshes shares it, and so comes to Vault as a batch. */
  const lookUps = new Map<string, Promise<StoredOAuthClient | undefined>>();

  function findClient(name: string): Promise<StoredOAuthClient | undefined> {
    const running = lookUps.get(name) ?? store.oauthClients.find(name).finally(() => lookUps.delete(name));
    lookUps.set(name, running);
    return running;
  }

  return async (caller, claim) => {
    const refreshed = await refresh(caller, claim);
    const now = clock.now();
    if (proves(caller, claim, now)) await prove(caller, claim, refreshed);
    // The proof believes it, or not: it asks twice.
    else if (missingOf(claim, refreshed.tokens).length > 0) await store.channels.proveFrom(claim, now);
    return refreshed.token;
  };

  async function refresh(caller: Caller, claim: RefreshClaim): Promise<Refreshed> {
    try {
      const client = await findClient(claim.channel.oauthClient);
      if (!client) throw new BrokerError('OAUTH_CLIENT_NOT_FOUND', { detail: claim.channel.oauthClient });
      if (spool.waiting().some(({ channel }) => channel === claim.channel.id)) {
        throw new BrokerError('STORE_UNAVAILABLE', { detail: 'a newer refresh token waits in the spool' });
      }
      const place = await spool.prepare(claim.channel.tenant);
      if (client.disabledAt) throw new BrokerError('OAUTH_CLIENT_DISABLED', { detail: client.name });
      const refreshToken = await keys.decrypt(contextOf(claim), claim.grant.refreshTokenEncrypted);
      const outcome = await askGoogle(client, claim, refreshToken);
      if (outcome === 'superseded') throw new BrokerError('STORE_CONFLICT', { detail: 'a new consent came meanwhile' });
      if (!outcome.ok) return await failed(caller, client, claim, outcome.failure);
      const { tokens } = outcome;
      const token = await succeeded(caller, claim, tokens, refreshToken, place);
      onRefreshed('ok');
      return { token, tokens };
    } catch (error) {
      if (error instanceof RefreshRefused) throw error;
      const fault = asBrokerError(error);
      if (fault.code === 'OAUTH_CLIENT_DISABLED') await switchedOff(caller, claim);
      else await infrastructureFailed(caller, claim, fault);
      throw error;
    }
  }

  /** Asks once; an `invalid_grant` is believed only where the row still holds the same grant and a second try says it again. */
  async function askGoogle(
    client: OAuthClient,
    claim: RefreshClaim,
    refreshToken: Secret<string>,
  ): Promise<TokenOutcome | 'superseded'> {
    const ask = () => {
      // This process stood still: whoever has taken over may have had the token replaced, and a void one is never to be used.
      if (clock.now() >= claim.until) throw new BrokerError('STORE_CONFLICT', { detail: 'the claim has lapsed' });
      return google.refresh(client, refreshToken, claim.grant.dpopKeyVersion);
    };
    const first = await ask();
    if (first.ok || !wantsConfirmation(first.failure.class)) return first;
    await pauseBriefly();
    const now = await store.channels.find(claim.channel.id);
    if (now?.state !== 'active' || now.grant?.generation !== claim.grant.generation) return 'superseded';
    if (now.grant.refreshTokenHash !== claim.grant.refreshTokenHash) return 'superseded';
    return ask();
  }

  async function succeeded(
    caller: Caller,
    claim: RefreshClaim,
    tokens: TokenResponse,
    refreshToken: Secret<string>,
    place: SpoolPlace,
  ): Promise<CachedToken> {
    const { channel, grant } = claim;
    const now = clock.now();
    const plan = deps.planRefresh(caller, claim, now, tokens.expiresAt);
    const key = cache.keyOf(channel.id, grant.generation);
    const facts = {
      generation: grant.generation,
      expiresAt: tokens.expiresAt.toISOString(),
      accessToken: fingerprint(tokens.accessToken.reveal()),
      rotated: tokens.refreshToken !== undefined,
    };
    const record = auditRecord(now, caller, 'token.refresh', 'ok', targetOf(claim), facts);
    const entry = tokens.refreshToken && (await keepRotated(claim, tokens, tokens.refreshToken, record, place));
    let rotated: RotatedGrant | undefined;
    try {
      rotated = await encryptRotated(claim, tokens);
      const success = {
        accessTokenCacheKey: key,
        tokenExpiresAt: tokens.expiresAt,
        refreshedAt: now,
        refreshDueAt: plan.refreshDueAt,
        proofDueAt: proves(caller, claim, now) ? plan.nextProofAt : undefined,
        rotated,
        // Kept since a later version than the grant may be of: now it is in clear anyway.
        refreshTokenPrefixHash: grant.refreshTokenPrefixHash
          ? undefined
          : tokenNames(refreshToken).refreshTokenPrefixHash,
      };
      await persist(() => store.channels.refreshed(claim, success, record));
      await entry?.remove();
    } catch (error) {
      if (entry) entry.leave();
      else if (rotated && asBrokerError(error).code === 'STORE_CONFLICT') await storeUnkept(claim, rotated, record);
      throw error;
    }
    const token = { accessToken: tokens.accessToken, expiresAt: tokens.expiresAt };
    await cache.put(channel.tenant, key, token);
    return token;
  }

  /**
   * A new refresh token that the disk refused, of a channel that was claimed, suspended or revoked meanwhile: it is stored as one
   * from the disk would be, so that it is used next, or taken back at Google. Where that fails, too, the first error is told.
   */
  async function storeUnkept(
    { channel, grant }: RefreshClaim,
    rotated: RotatedGrant,
    record: AuditRecord,
  ): Promise<void> {
    const { generation, refreshTokenHash: formerTokenHash } = grant;
    const stored = { ...rotated, channel: channel.id, generation, formerTokenHash, receivedAt: record.at };
    await persist(() => store.channels.rotateToken(stored, record)).catch(() => undefined);
  }

  /** On this replica's disk before Vault and PostgreSQL are asked: the one that it replaces may be void already. */
  function keepRotated(
    claim: RefreshClaim,
    { refreshTokenExpiresAt }: TokenResponse,
    refreshToken: Secret<string>,
    record: AuditRecord,
    place: SpoolPlace,
  ) {
    const { generation, refreshTokenHash: formerTokenHash } = claim.grant;
    const received = {
      ...targetOf(claim),
      generation,
      refreshToken,
      refreshTokenExpiresAt,
      receivedAt: record.at,
      record,
    };
    return place.keep({ kind: 'rotated', formerTokenHash, ...received });
  }

  async function encryptRotated(claim: RefreshClaim, { refreshToken, refreshTokenExpiresAt }: TokenResponse) {
    if (!refreshToken) return undefined;
    const refreshTokenEncrypted = await persist(() => keys.encrypt(contextOf(claim), refreshToken));
    return { refreshTokenEncrypted, refreshTokenExpiresAt, ...tokenNames(refreshToken) };
  }

  /** Nothing was asked, and nothing is wrong with the channel: it stays due, for when the client is switched on. */
  async function switchedOff(caller: Caller, claim: RefreshClaim): Promise<void> {
    const facts = { detail: claim.channel.oauthClient };
    const record = auditRecord(clock.now(), caller, 'token.refresh', 'OAUTH_CLIENT_DISABLED', targetOf(claim), facts);
    await store.audit.append(record);
    // Where that fails, the claim lapses by itself.
    await store.channels.giveBack(claim).catch(() => undefined);
  }

  async function failed(
    caller: Caller,
    client: StoredOAuthClient,
    claim: RefreshClaim,
    failure: TokenEndpointFailure,
  ): Promise<never> {
    onRefreshed(failure.class);
    const verdict = verdicts[failure.class];
    if (verdict.state && (await ended(caller, client, claim, failure, { ...verdict, state: verdict.state }))) {
      throw new RefreshRefused(verdict.told, failure);
    }
    const told = verdict.state ? 'OAUTH_CLIENT_FROZEN' : verdict.told;
    const now = clock.now();
    const at = nextTry(claim, now, failure.retryAfter);
    const record = auditRecord(now, caller, 'token.refresh', told, targetOf(claim), factsOf(failure));
    await store.channels.refreshFailed(claim, { className: failure.class, retryAt: at }, record);
    throw new RefreshRefused(told, failure);
  }

  function nextTry({ grant }: RefreshClaim, now: Date, retryAfter: number | undefined): Date {
    return retryAt(now, grant.refreshFailures + 1, retryAfter, deps.randomFraction(), grant.tokenExpiresAt);
  }

  /** Ends the grant; false where that is withheld, because it may be the OAuth client's trouble. */
  async function ended(
    caller: Caller,
    client: StoredOAuthClient,
    claim: RefreshClaim,
    failure: TokenEndpointFailure,
    { state, told, reason: sure }: EndingVerdict,
  ): Promise<boolean> {
    const { reason, facts } = sure ? { reason: sure, facts: {} } : await whyEnded(claim, client);
    if (!isExplained(reason) && (await deps.incidents.withholds(caller, claim, failure))) return false;
    const found = { ...factsOf(failure), ...facts };
    await endGrant(caller, claim, { state, told, reason, facts: found, fence: claim.fence });
    return true;
  }

  /** Throws what a reader is to be told where the proof ends the grant that was just refreshed. */
  async function prove(caller: Caller, claim: RefreshClaim, { tokens }: Refreshed): Promise<void> {
    const proof = await proveChannel(caller, claim, tokens, () => refreshAgain(caller, claim));
    if (proof === 'unanswered') {
      const again = new Date(clock.now().getTime() + proveAgainMs);
      await store.channels.proveFrom(claim, again);
    }
    if (typeof proof !== 'string') throw new BrokerError(proof.told, { detail: `the proof found ${proof.reason}` });
  }

  /**
   * A refresh like any other, under a claim of its own, since the first one has ended its claim. Undefined where another
   * broker has claimed the channel meanwhile, and where it fails for now; throws where the grant has ended by it.
   */
  async function refreshAgain(caller: Caller, { channel }: RefreshClaim): Promise<TokenResponse | undefined> {
    const now = clock.now();
    const lease = { now, until: new Date(now.getTime() + claimMs), owner: deps.replica };
    const claim = await store.channels.claim(channel.id, lease);
    try {
      return claim && (await refresh(caller, claim)).tokens;
    } catch (error) {
      if (asBrokerError(error).row.retry) return undefined;
      throw error;
    }
  }

  /** Vault, PostgreSQL or our own fault: the claim is given back with a later due time where PostgreSQL still answers. */
  async function infrastructureFailed(caller: Caller, claim: RefreshClaim, error: BrokerError): Promise<void> {
    onRefreshed('broker_fault');
    if (error.code === 'STORE_CONFLICT' || error.code === 'STORE_UNAVAILABLE') return;
    const now = clock.now();
    const at = nextTry(claim, now, error.retryAfter);
    const facts = { class: 'broker_fault', detail: error.code };
    const record = auditRecord(now, caller, 'token.refresh', error.code, targetOf(claim), facts);
    // Where this cannot be written either, the claim lapses by itself and the first error is the one to tell.
    await store.channels
      .refreshFailed(claim, { className: 'broker_fault', retryAt: at }, record)
      .catch(() => undefined);
  }
}

/** What a refresh brought. */
interface Refreshed {
  readonly token: CachedToken;
  readonly tokens: TokenResponse;
}

/** A reader does not wait for YouTube: a proof that is due stays so, for the scheduler's next refresh. */
function proves(caller: Caller, claim: RefreshClaim, now: Date): boolean {
  return caller.kind === 'scheduler' && isProofDue(claim, now);
}

function factsOf(failure: TokenEndpointFailure) {
  return { class: failure.class, error: failure.error ?? '', status: failure.status ?? 0 };
}

function contextOf({ channel, grant }: RefreshClaim) {
  return { tenant: channel.tenant, channel: channel.id, generation: grant.generation };
}

function targetOf({ channel }: RefreshClaim) {
  return { tenant: channel.tenant, channel: channel.id };
}
