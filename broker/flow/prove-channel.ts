/**
 * The daily proof of a channel, after a refresh that succeeded: are the scopes that the channel needs still granted, and
 * is it still the YouTube channel that was pinned. It costs one unit of YouTube quota.
 *
 * What it finds is believed like an `invalid_grant`: where the row still holds the same grant after a short pause, and a
 * second question is answered the same way. Where YouTube does not answer, or says anything but a list, nothing is known
 * and nothing changes.
 */
import type { Caller } from '../domain/caller.ts';
import { missingScopes } from '../domain/scope.ts';
import type { Secret } from '../domain/secret.ts';
import { BrokerError } from '../errors.ts';
import type { RefreshClaim, Store, TokenResponse, YouTube } from '../ports.ts';
import type { EndGrant, GrantEnd } from './end-grant.ts';
import type { OAuthClientIncidents } from './oauth-client-incidents.ts';

/** `unanswered`: to be proven again soon. `overtaken`: another grant is there, or the channel is not active any more. */
export type Proof = 'proven' | 'unanswered' | 'overtaken' | GrantEnd;

/**
 * Asks what the second question of scopes is asked by: another refresh of the same grant; undefined where that failed.
 */
export type AskAgain = () => Promise<TokenResponse | undefined>;

export type ProveChannel = (
  caller: Caller,
  claim: RefreshClaim,
  tokens: TokenResponse,
  askAgain: AskAgain,
) => Promise<Proof>;

export function createProveChannel(deps: {
  store: Store;
  youtube: YouTube;
  endGrant: EndGrant;
  incidents: Pick<OAuthClientIncidents, 'withholds' | 'proven'>;
  /** Waits before the second question. */
  pauseBriefly: () => Promise<void>;
}): ProveChannel {
  const { store, youtube, endGrant, incidents, pauseBriefly } = deps;

  return async (caller, claim, tokens, askAgain) => {
    const proof = (await proveScopes(claim, tokens, askAgain)) ?? (await proveIdentity(claim, tokens.accessToken));
    if (proof === 'proven') await incidents.proven(caller, claim);
    if (typeof proof === 'string') return proof;
    // Many at once are the OAuth client's trouble, or YouTube's: nothing ends before that is over.
    if (await incidents.withholds(caller, claim, { error: proof.reason })) return 'unanswered';
    await endGrant(caller, claim, proof);
    return proof;
  };

  /** Undefined where nothing is missing. */
  async function proveScopes(claim: RefreshClaim, tokens: TokenResponse, askAgain: AskAgain) {
    const missing = missingOf(claim, tokens);
    if (missing.length === 0) return undefined;
    if (!(await isStillThere(claim))) return 'overtaken';
    const second = await askAgain();
    if (!second) return 'unanswered';
    const stillMissing = missingOf(claim, second);
    // Google contradicts itself: the next proof tells.
    if (stillMissing.length === 0) return 'unanswered';
    return ended('scope_reduced', { missingScopes: stillMissing });
  }

  async function proveIdentity(claim: RefreshClaim, accessToken: Secret<string>): Promise<Proof> {
    const { youtubeChannelId: pinned } = claim.grant;
    const first = await channelIds(accessToken);
    if (!first) return 'unanswered';
    if (first.includes(pinned)) return 'proven';
    if (!(await isStillThere(claim))) return 'overtaken';
    const second = await channelIds(accessToken);
    if (!second || second.includes(pinned)) return 'unanswered';
    return ended('channel_drift', { pinnedChannel: pinned, foundChannels: second });
  }

  async function channelIds(accessToken: Secret<string>): Promise<readonly string[] | undefined> {
    try {
      return (await youtube.channelsOf(accessToken)).map(({ id }) => id);
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'AUTHORIZATION_SERVER_UNAVAILABLE') return undefined;
      throw error;
    }
  }

  async function isStillThere({ channel, grant }: RefreshClaim): Promise<boolean> {
    await pauseBriefly();
    const now = await store.channels.find(channel.id);
    return now?.state === 'active' && now.grant?.generation === grant.generation;
  }
}

/** Needed scopes that are not granted. Where the answer names none, they are those of before (RFC 6749 section 5.1). */
export function missingOf({ channel, grant }: RefreshClaim, { scopes }: TokenResponse): readonly string[] {
  return missingScopes(channel.requestedScopes, scopes ?? grant.scopes);
}

function ended(reason: GrantEnd['reason'], facts: GrantEnd['facts']): GrantEnd {
  return { state: 'needs_reconsent', reason, told: 'RECONSENT_REQUIRED', facts };
}
