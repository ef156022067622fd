/**
 * Takes the authorization response and carries the consent to its end:
 *
 *   whose answer is it (state, browser, once) → is it an answer (issuer, error, code) → authorization-code grant
 *   → scopes → refresh token encrypted and stored → identity and channel checked and pinned (settle-grant.ts) → active
 *
 * The refresh token is stored before anything else may fail, together with the audit record that holds the time and the
 * owner's IP. A token that came for the wrong account or channel is deleted here and NOT revoked at Google: a revocation
 * there ends every grant of that person to the whole project, sibling channels included.
 */
import { auditRecord, fingerprint } from '../domain/audit-record.ts';
import { type AuthorizationResponse, parseAuthorizationResponse } from '../domain/authorization-response.ts';
import type { Owner } from '../domain/caller.ts';
import { acceptsConsent, type Channel, nextGeneration } from '../domain/channel.ts';
import { type Consent, type ConsentFailure, verifierGeneration } from '../domain/consent.ts';
import { hashSecret, tokenNames } from '../domain/identifier.ts';
import { missingScopes } from '../domain/scope.ts';
import type { Secret } from '../domain/secret.ts';
import type { TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';
import { asBrokerError, BrokerError } from '../errors.ts';
import type {
  AuthorizationServer,
  Clock,
  ConsentedToken,
  ReceivedGrant,
  RefreshTokenSpool,
  SpoolEntry,
  Store,
  TenantKeys,
  TokenResponse,
} from '../ports.ts';
import { persist } from '../resilience.ts';
import type { FailConsent } from './fail-consent.ts';
import type { RecordRefusals } from './record-refusals.ts';
import type { ConsentOutcome, SettleGrant } from './settle-grant.ts';

export interface CompleteConsentInput {
  /** The callback's query, in order, duplicates kept. */
  readonly parameters: readonly (readonly [string, string])[];
  /** From the cookie; undefined where the browser sent none. */
  readonly browserSecret: Secret<string> | undefined;
}

/** Throws INVALID_AUTHORIZATION_RESPONSE where the answer belongs to no request of this browser, or came before. */
export function createCompleteConsent(deps: {
  store: Store;
  keys: TenantKeys;
  spool: RefreshTokenSpool;
  google: AuthorizationServer;
  failConsent: FailConsent;
  settleGrant: SettleGrant;
  refusals: RecordRefusals;
  clock: Clock;
}) {
  const { store, keys, spool, google, failConsent, settleGrant, refusals, clock } = deps;

  return async (caller: Owner, input: CompleteConsentInput): Promise<ConsentOutcome> => {
    const response = parseAuthorizationResponse(input.parameters, google.issuer);
    const { consent, channel, request, expired } = await take(caller, response, input.browserSecret);
    const fail = (failure: ConsentFailure, facts = {}) =>
      failConsent(caller, { consent, channel, received: undefined }, failure, facts);

    if (expired) return fail('expired');
    if (response.kind === 'error') {
      return response.error === 'access_denied' ? fail('denied') : fail('google_refused', { error: response.error });
    }
    if (response.kind !== 'code') return fail(response.kind === 'wrong_issuer' ? 'wrong_issuer' : 'malformed_response');

    // Before the code is redeemed: what Google gave for it would be nobody's.
    if (!acceptsConsent(channel)) return fail('channel_closed');
    const client = await store.oauthClients.find(consent.oauthClient);
    if (!client || client.disabledAt) return fail('client_rejected');
    const codeVerifier = await readVerifier(channel, request.codeVerifierEncrypted);
    const place = codeVerifier && (await unlessVaultFails(() => spool.prepare(channel.tenant)));
    // Found before the code is redeemed, so that nothing is lost: the owner can start over.
    if (!codeVerifier || !place) return fail('vault_unavailable');

    const outcome = await google.exchangeCode(client, response.code, codeVerifier);
    if (!outcome.ok) return fail(failureOf(outcome.failure), { class: outcome.failure.class });
    const scopes = outcome.tokens.scopes ?? channel.requestedScopes;
    const missing = missingScopes(channel.requestedScopes, scopes);
    if (missing.length > 0) return fail('scope_missing', { missingScopes: missing });

    if (!outcome.tokens.refreshToken) {
      // Google sends none where an earlier consent still stands. The stored one is kept; it is never replaced by nothing.
      if (channel.state !== 'active') return fail('no_refresh_token');
      return settleGrant(caller, {
        consent,
        channel,
        received: undefined,
        tokens: outcome.tokens,
        nonce: request.nonce,
      });
    }
    const token = consentedToken(caller, consent, channel, outcome.tokens, outcome.tokens.refreshToken, scopes);
    // On this replica's disk first: from here on it needs neither Vault nor PostgreSQL nor this process.
    const entry = await place.keep(token);
    const received = await receive(token, entry);
    if (received === 'kept') return { kind: 'received', tenant: channel.tenant, channelName: channel.name };
    if (received === 'lost') return fail('vault_unavailable', { lost: fingerprint(token.refreshToken.reveal()) });
    return settleGrant(caller, { consent, channel, received, tokens: outcome.tokens, nonce: request.nonce });
  };

  /** Finds the consent that the answer belongs to and takes its state: only one call in one browser ever gets past. */
  async function take(caller: Owner, response: AuthorizationResponse, browserSecret: Secret<string> | undefined) {
    if (response.kind === 'unrecognisable') return refuse(caller, 'no single state', undefined);
    const stateHash = hashSecret(response.state);
    const consent = await store.consents.findByState(stateHash);
    const request = consent?.request;
    if (!consent || !request) return refuse(caller, 'unknown state', undefined);
    if (!browserSecret || hashSecret(browserSecret) !== request.browserHash) {
      return refuse(caller, 'state of another browser', consent);
    }
    const channel = await store.channels.find(consent.channel);
    if (!channel) return refuse(caller, 'channel is gone', consent);
    const now = clock.now();
    const expired = request.takenAt === undefined && request.expiresAt <= now;
    if (!expired && !(await store.consents.takeState(stateHash, request.browserHash, now))) {
      return refuse(caller, 'state used before', consent);
    }
    return { consent, channel, request, expired };
  }

  async function refuse(caller: Owner, reason: string, consent: Consent | undefined): Promise<never> {
    const target = { tenant: consent?.tenant, channel: consent?.channel };
    const code = 'INVALID_AUTHORIZATION_RESPONSE';
    const record = auditRecord(clock.now(), caller, 'consent.complete', code, target, { reason });
    // Whoever knows no state of ours is a stranger, and anybody can send that as often as they like.
    await (consent ? store.audit.append(record) : refusals.record(record));
    throw new BrokerError(code, { detail: reason });
  }

  async function readVerifier(channel: Channel, encrypted: string | undefined): Promise<Secret<string> | undefined> {
    if (!encrypted) return undefined;
    const context = { tenant: channel.tenant, channel: channel.id, generation: verifierGeneration };
    return unlessVaultFails(() => keys.decrypt(context, encrypted));
  }

  /**
   * Encrypts and stores the refresh token. Where Vault or PostgreSQL failed to the end, it is `kept` in the spool, from
   * which the scheduler stores it, or `lost`, where the disk has refused it, too.
   */
  async function receive(
    token: ConsentedToken,
    entry: SpoolEntry | undefined,
  ): Promise<ReceivedGrant | 'kept' | 'lost'> {
    const { tenant, channel, generation, refreshToken } = token;
    try {
      const received: ReceivedGrant = {
        consentId: token.consentId,
        generation,
        refreshTokenEncrypted: await persist(() => keys.encrypt({ tenant, channel, generation }, refreshToken)),
        ...tokenNames(refreshToken),
        refreshTokenExpiresAt: token.refreshTokenExpiresAt,
        dpopKeyVersion: token.dpopKeyVersion,
        scopes: token.scopes,
        receivedAt: token.receivedAt,
      };
      await persist(() => store.consents.receive(received, token.record));
      await entry?.remove();
      return received;
    } catch (error) {
      entry?.leave();
      if (entry && asBrokerError(error).row.retry) return 'kept';
      if (isVaultFailure(error)) return 'lost';
      throw error;
    }
  }

  function consentedToken(
    caller: Owner,
    consent: Consent,
    channel: Channel,
    tokens: TokenResponse,
    refreshToken: Secret<string>,
    scopes: readonly string[],
  ): ConsentedToken {
    const receivedAt = clock.now();
    const target = { tenant: channel.tenant, channel: channel.id };
    const generation = nextGeneration(channel);
    const facts = { consent: consent.id, generation, scopes, userAgent: caller.userAgent?.slice(0, 200) ?? '' };
    return {
      kind: 'consented',
      ...target,
      generation,
      refreshToken,
      refreshTokenExpiresAt: tokens.refreshTokenExpiresAt,
      receivedAt,
      consentId: consent.id,
      dpopKeyVersion: tokens.dpopKeyVersion,
      scopes,
      record: auditRecord(receivedAt, caller, 'consent.receive', 'ok', target, facts),
    };
  }
}

async function unlessVaultFails<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (isVaultFailure(error)) return undefined;
    throw error;
  }
}

function isVaultFailure(error: unknown): boolean {
  return error instanceof BrokerError && error.code.startsWith('VAULT_');
}

/** How a failed authorization-code grant is told. */
function failureOf(failure: TokenEndpointFailure): ConsentFailure {
  switch (failure.class) {
    case 'grant_dead':
      return 'code_rejected';
    case 'client_rejected':
      return 'client_rejected';
    case 'unavailable':
    case 'rate_limited':
      return 'google_unavailable';
    case 'session_control':
    case 'admin_policy':
    case 'dpop_rejected':
    case 'request_rejected':
      return 'google_refused';
  }
}
