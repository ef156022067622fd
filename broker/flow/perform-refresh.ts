/**
 * One refresh grant, for a channel that has been claimed: decrypt → refresh at Google → store → cache.
 *
 * What a failure does depends on its class alone (domain/token-endpoint-failure.ts). Only a dead grant, confirmed, or a
 * Workspace administrator's block changes the channel's state; every fault of ours, of the network or of the OAuth
 * client leaves it as it is and is tried again later and later.
 */
import { type AuditRecord, auditRecord, fingerprint } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import type { StateReason } from '../domain/channel.ts';
import { refreshTokenHash } from '../domain/identifier.ts';
import { retryAt } from '../domain/refresh-schedule.ts';
import { lateWindowMs } from '../domain/revocation.ts';
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
  SpoolPlace,
  Store,
  StoredOAuthClient,
  TenantKeys,
  TokenOutcome,
  TokenResponse,
} from '../ports.ts';
import { persist } from '../resilience.ts';
import type { OAuthClientIncidents } from './oauth-client-incidents.ts';
import { isProofDue, type PlanRefresh } from './plan-refresh.ts';

export interface RefreshDeps {
  readonly store: Store;
  readonly keys: TenantKeys;
  readonly spool: RefreshTokenSpool;
  readonly google: AuthorizationServer;
  readonly cache: AccessTokenCache;
  readonly clock: Clock;
  /** When a channel is refreshed next. */
  readonly planRefresh: PlanRefresh;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  /** Waits before the confirming retry of an `invalid_grant`. */
  readonly pause: (ms: number) => Promise<void>;
  /** Where many grants of one OAuth client seem dead at once, none is ended. */
  readonly incidents: Pick<OAuthClientIncidents, 'withholds'>;
  /** Told the result of each refresh: `ok` or the class of the failure. */
  readonly onRefreshed: (result: 'ok' | FailureClass | 'broker_fault') => void;
}

/** Answers the new access token; throws the error that a reader of the channel is to be told. */
export type PerformRefresh = (caller: Caller, claim: RefreshClaim) => Promise<CachedToken>;

export function createPerformRefresh(deps: RefreshDeps): PerformRefresh {
  const { store, keys, spool, google, cache, clock, onRefreshed } = deps;
  /** OAuth client → the look-up that runs: a batch of refreshes shares it, and so comes to Vault as a batch. */
  const lookUps = new Map<string, Promise<StoredOAuthClient | undefined>>();

  function findClient(name: string): Promise<StoredOAuthClient | undefined> {
    const running = lookUps.get(name) ?? store.oauthClients.find(name).finally(() => lookUps.delete(name));
    lookUps.set(name, running);
    return running;
  }

  return async (caller, claim) => {
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
      if (!outcome.ok) return await failed(caller, claim, outcome.failure);
      const token = await succeeded(caller, claim, outcome.tokens, place);
      onRefreshed('ok');
      return token;
    } catch (error) {
      if (error instanceof RefreshRefused) throw error;
      const fault = asBrokerError(error);
      if (fault.code === 'OAUTH_CLIENT_DISABLED') await switchedOff(caller, claim);
      else await infrastructureFailed(caller, claim, fault);
      throw error;
    }
  };

  /** Asks once; an `invalid_grant` is believed only where the row still holds the same grant and a second try says it again. */
  async function askGoogle(
    client: OAuthClient,
    claim: RefreshClaim,
    refreshToken: Secret<string>,
  ): Promise<TokenOutcome | 'superseded'> {
    const ask = () => google.refresh(client, refreshToken, claim.grant.dpopKeyVersion);
    const first = await ask();
    if (first.ok || !endsTheGrant(first.failure.class)) return first;
    await deps.pause(200 + deps.randomFraction() * 800);
    const now = await store.channels.find(claim.channel.id);
    if (now?.state !== 'active' || now.grant?.generation !== claim.grant.generation) return 'superseded';
    if (now.grant.refreshTokenHash !== claim.grant.refreshTokenHash) return 'superseded';
    return ask();
  }

  async function succeeded(
    caller: Caller,
    claim: RefreshClaim,
    tokens: TokenResponse,
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
    const entry = tokens.refreshToken && (await keepRotated(claim, tokens.refreshToken, record, place));
    try {
      const success = {
        accessTokenCacheKey: key,
        tokenExpiresAt: tokens.expiresAt,
        refreshedAt: now,
        refreshDueAt: plan.refreshDueAt,
        proofDueAt: isProofDue(claim, now) ? plan.nextProofAt : undefined,
        rotated: await encryptRotated(claim, tokens.refreshToken),
      };
      await persist(() => store.channels.refreshed(claim, success, record));
      await entry?.remove();
    } catch (error) {
      entry?.leave();
      throw error;
    }
    const token = { accessToken: tokens.accessToken, expiresAt: tokens.expiresAt };
    await cache.put(channel.tenant, key, token);
    return token;
  }

  /** On this replica's disk before Vault and PostgreSQL are asked: the one that it replaces may be void already. */
  function keepRotated(claim: RefreshClaim, refreshToken: Secret<string>, record: AuditRecord, place: SpoolPlace) {
    const { generation, refreshTokenHash: formerTokenHash } = claim.grant;
    const received = { ...targetOf(claim), generation, refreshToken, receivedAt: record.at, record };
    return place.keep({ kind: 'rotated', formerTokenHash, ...received });
  }

  async function encryptRotated(claim: RefreshClaim, rotated: Secret<string> | undefined) {
    if (!rotated) return undefined;
    const refreshTokenEncrypted = await persist(() => keys.encrypt(contextOf(claim), rotated));
    return { refreshTokenEncrypted, refreshTokenHash: refreshTokenHash(rotated) };
  }

  /** Nothing was asked, and nothing is wrong with the channel: it stays due, for when the client is switched on. */
  async function switchedOff(caller: Caller, claim: RefreshClaim): Promise<void> {
    const facts = { detail: claim.channel.oauthClient };
    const record = auditRecord(clock.now(), caller, 'token.refresh', 'OAUTH_CLIENT_DISABLED', targetOf(claim), facts);
    await store.audit.append(record);
    // Where that fails, the claim lapses by itself.
    await store.channels.giveBack(claim).catch(() => undefined);
  }

  async function failed(caller: Caller, claim: RefreshClaim, failure: TokenEndpointFailure): Promise<never> {
    onRefreshed(failure.class);
    const verdict = verdicts[failure.class];
    if (verdict.state && (await ended(caller, claim, failure, verdict)))
      throw new RefreshRefused(verdict.told, failure);
    const told = verdict.state ? 'OAUTH_CLIENT_FROZEN' : verdict.told;
    const now = clock.now();
    const at = retryAt(now, claim.grant.refreshFailures + 1, failure.retryAfter, deps.randomFraction());
    const record = auditRecord(now, caller, 'token.refresh', told, targetOf(claim), factsOf(failure));
    await store.channels.refreshFailed(claim, { className: failure.class, retryAt: at }, record);
    throw new RefreshRefused(told, failure);
  }

  /** Ends the grant; false where that is withheld, because it may be the OAuth client's trouble. */
  async function ended(
    caller: Caller,
    claim: RefreshClaim,
    failure: TokenEndpointFailure,
    { state: to, told, reason: usual }: StateVerdict,
  ): Promise<boolean> {
    const now = clock.now();
    const reason = failure.class === 'grant_dead' ? await causeOfDeath(claim, now, usual) : usual;
    // What died of a revocation here was accepted with it, and says nothing of the OAuth client.
    if (reason !== 'sibling_revoked' && (await deps.incidents.withholds(caller, claim, failure))) return false;
    const change = { id: claim.channel.id, from: 'active', to, reason, at: now } as const;
    const facts = { ...factsOf(failure), state: to, reason };
    const record = auditRecord(now, caller, 'channel.state', told, targetOf(claim), facts);
    await persist(() => store.channels.changeState({ ...change, generation: claim.grant.generation }, record));
    await cache.drop(cache.keyOf(claim.channel.id, claim.grant.generation));
    return true;
  }

  /** A grant that dies soon after a sibling was revoked has most likely died of that: so it is told. */
  async function causeOfDeath({ channel }: RefreshClaim, now: Date, otherwise: StateReason): Promise<StateReason> {
    const since = new Date(now.getTime() - lateWindowMs);
    const reached = await persist(() => store.revocations.reached(channel.id, since));
    return reached ? 'sibling_revoked' : otherwise;
  }

  /** Vault, PostgreSQL or our own fault: the claim is given back with a later due time where PostgreSQL still answers. */
  async function infrastructureFailed(caller: Caller, claim: RefreshClaim, error: BrokerError): Promise<void> {
    onRefreshed('broker_fault');
    if (error.code === 'STORE_CONFLICT' || error.code === 'STORE_UNAVAILABLE') return;
    const now = clock.now();
    const at = retryAt(now, claim.grant.refreshFailures + 1, error.retryAfter, deps.randomFraction());
    const facts = { class: 'broker_fault', detail: error.code };
    const record = auditRecord(now, caller, 'token.refresh', error.code, targetOf(claim), facts);
    // Where this cannot be written either, the claim lapses by itself and the first error is the one to tell.
    await store.channels
      .refreshFailed(claim, { className: 'broker_fault', retryAt: at }, record)
      .catch(() => undefined);
  }
}

/** What a reader is told of a refresh that Google did not do, with what Google said. */
export class RefreshRefused extends BrokerError {
  readonly failure: TokenEndpointFailure;

  constructor(told: BrokerError['code'], failure: TokenEndpointFailure) {
    super(told, {
      detail: `${failure.class} ${failure.status ?? 'no answer'} ${failure.error ?? ''}`.trim(),
      ...(failure.retryAfter === undefined ? {} : { retryAfter: failure.retryAfter }),
    });
    this.failure = failure;
  }
}

interface Verdict {
  /** What a reader of the channel is told. */
  readonly told: BrokerError['code'];
  /** The state that the channel goes to; absent where it stays active. */
  readonly state?: 'needs_reconsent' | 'blocked';
  readonly reason?: StateReason;
}

type StateVerdict = Required<Verdict>;
type PassingVerdict = Verdict & { readonly state?: never; readonly reason?: never };

const verdicts: Readonly<Record<FailureClass, StateVerdict | PassingVerdict>> = {
  grant_dead: { told: 'RECONSENT_REQUIRED', state: 'needs_reconsent', reason: 'grant_revoked_or_expired' },
  session_control: { told: 'RECONSENT_REQUIRED', state: 'needs_reconsent', reason: 'session_control' },
  admin_policy: { told: 'CHANNEL_BLOCKED', state: 'blocked', reason: 'admin_policy_enforced' },
  dpop_rejected: { told: 'BROKER_INCIDENT' },
  request_rejected: { told: 'BROKER_INCIDENT' },
  client_rejected: { told: 'OAUTH_CLIENT_REJECTED' },
  rate_limited: { told: 'AUTHORIZATION_SERVER_UNAVAILABLE' },
  unavailable: { told: 'AUTHORIZATION_SERVER_UNAVAILABLE' },
};

function endsTheGrant(failureClass: FailureClass): boolean {
  return verdicts[failureClass].state === 'needs_reconsent';
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
