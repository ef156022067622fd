/**
 * Tells Google of channels that were revoked, until it is known what became of each grant; then has their siblings proven.
 *
 * What is sent is the refresh token of the revoked channel and no other, and only while it ends nothing that nobody agreed
 * to end. The question matters at every try: an earlier one may have been done at Google although its answer was lost, and the
 * owner may have consented anew since. To send it once more would end that consent (reference G32, G33).
 *
 * Siblings are proven by an ordinary refresh, in the ordinary queue: what Google still takes stays as it is, and what Google has
 * ended goes to `needs_reconsent` as everything does, twice asked and only in the generation that was asked about. They are
 * asked about again for an hour, since a revocation may take effect late.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { type RevocationOutcome, revocationRetryAt } from '../domain/revocation.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, RevocationClaim, Store } from '../ports.ts';
import type { GrantRevocation, RevokeGrant } from './revoke-grant.ts';

/** Longer than one attempt: every request in it has a shorter deadline. */
const claimMs = 60_000;
const atOnce = 8;
const longestPauseSeconds = 900;
const longestSleepMs = 30_000;

export interface ContinueRevocationsDeps {
  readonly store: Store;
  readonly revokeGrant: RevokeGrant;
  readonly clock: Clock;
  /** Told that channels have become due for a refresh. */
  readonly onDue: () => void;
}

/** Does what is due now; answers after how many milliseconds there is more to do. */
export type ContinueRevocations = (caller: Scheduler) => Promise<number>;

export function createContinueRevocations(deps: ContinueRevocationsDeps): ContinueRevocations {
  const { store, revokeGrant, clock, onDue } = deps;

  return async (caller) => {
    for (;;) {
      const now = clock.now();
      const claims = await store.revocations.claim(now, new Date(now.getTime() + claimMs), atOnce);
      const tries = await Promise.allSettled(claims.map((claim) => attempt(caller, claim)));
      // Vault or PostgreSQL is away: the claims lapse, and the next run tries again.
      for (const one of tries) if (one.status === 'rejected') throw one.reason;
      if (claims.length < atOnce) break;
    }
    if ((await store.revocations.proveSiblings(clock.now())) > 0) onDue();
    const due = await store.revocations.nextDue();
    const left = due ? due.getTime() - clock.now().getTime() : longestSleepMs;
    return Math.max(0, Math.min(left, longestSleepMs));
  };

  async function attempt(caller: Scheduler, claim: RevocationClaim): Promise<void> {
    const answer = await revoke(claim);
    const now = clock.now();
    const failure = typeof answer === 'object' && answer.result === 'failed' ? answer.failure : undefined;
    const outcome = outcomeOf(answer);
    const facts = {
      generation: claim.generation,
      outcome: outcome ?? 'retry',
      attempt: claim.attempt,
      ...(failure && { error: failure.error ?? '', status: failure.status ?? 0 }),
    };
    const { tenant, id: channel } = claim.channel;
    const result = failure ? 'AUTHORIZATION_SERVER_UNAVAILABLE' : 'ok';
    const record = auditRecord(now, caller, 'channel.revoke', result, { tenant, channel }, facts);
    const dueAt = revocationRetryAt(now, claim.attempt, failure?.retryAfter, longestPauseSeconds);
    try {
      await store.revocations.tried(claim, { outcome, at: now, dueAt }, record);
    } catch (error) {
      // The claim had lapsed and another broker has asked, or a newer refresh token has come.
      if (asBrokerError(error).code !== 'STORE_CONFLICT') throw error;
    }
  }

  async function revoke({ channel, generation }: RevocationClaim): Promise<GrantRevocation | 'kept_for_sibling'> {
    // Whatever is there is not the grant that was to be revoked.
    if (channel.state !== 'revoked' || channel.grant?.generation !== generation) return 'unreadable';
    return (await store.revocations.wouldEndOthers(channel.id)) ? 'kept_for_sibling' : revokeGrant(channel);
  }
}

/** Undefined where it is to be tried again. */
function outcomeOf(answer: GrantRevocation | 'kept_for_sibling'): RevocationOutcome | undefined {
  if (typeof answer === 'string') return answer;
  return answer.result === 'failed' ? undefined : answer.result;
}
