import { type AuditRecord, auditRecord } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import type { StateReason } from '../domain/channel.ts';
import { evidenceFacts, likelyReason } from '../domain/grant-end.ts';
import { lateWindowMs } from '../domain/revocation.ts';
import type { ErrorCode } from '../errors.ts';
import type { AccessTokenCache, Clock, RefreshClaim, Store, StoredOAuthClient } from '../ports.ts';
import { persist } from '../resilience.ts';

/** How a grant ends: in which state, why, and what a reader of the channel is told from now on. */
export interface GrantEnd {
  readonly state: 'needs_reconsent' | 'blocked';
  readonly reason: StateReason;
  readonly told: ErrorCode;
  /** For the audit record, beside state and reason. */
  readonly facts: AuditRecord['facts'];
  /** Where given, the grant ends only where nobody has claimed it since: another broker may hold a newer token of it. */
  readonly fence?: number;
}

/**
 * Takes an active channel to the state in which its owner has to act, with its record, where the grant is still the one
 * that was claimed; nothing of it is served any more. Every end of a grant that a refresh or a proof finds comes here.
 */
export type EndGrant = (caller: Caller, claim: RefreshClaim, end: GrantEnd) => Promise<void>;

export function createEndGrant(deps: { store: Store; cache: AccessTokenCache; clock: Clock }): EndGrant {
  const { store, cache, clock } = deps;

  return async (caller, { channel, grant }, { state, reason, told, facts, fence }) => {
    const at = clock.now();
    const target = { tenant: channel.tenant, channel: channel.id };
    const record = auditRecord(at, caller, 'channel.state', told, target, { ...facts, state, reason });
    const { generation } = grant;
    const change = { id: channel.id, from: 'active', to: state, reason, generation, fence, at } as const;
    await persist(() => store.channels.changeState(change, record));
    await cache.drop(cache.keyOf(channel.id, generation));
  };
}

/** Reads why Google takes a grant for dead from what is known of it now; answers the reason, and what it was read from. */
export function createWhyEnded(deps: { store: Store; clock: Clock }) {
  const { store, clock } = deps;

  return async ({ channel, grant: claimed }: RefreshClaim, client: StoredOAuthClient) => {
    // A security event may have come since the claim.
    const present = (await store.channels.find(channel.id))?.grant;
    const grant = present?.generation === claimed.generation ? present : claimed;
    const account = { googleSubject: grant.googleSubject, oauthClient: channel.oauthClient };
    const { live, older } = await store.channels.grantsOfAccount(account, grant.consentedAt);
    const now = clock.now();
    const since = new Date(now.getTime() - lateWindowMs);
    const siblingRevoked = await store.revocations.reached(channel.id, since);
    const { publishing } = client;
    const evidence = { grant, siblingRevoked, publishing, liveGrants: live, olderGrants: older };
    return { reason: likelyReason(evidence, now), facts: evidenceFacts(evidence, now) };
  };
}
