import { type AuditRecord, auditRecord } from '../domain/audit-record.ts';
import type { Caller } from '../domain/caller.ts';
import type { Channel } from '../domain/channel.ts';
import type { Consent, ConsentFailure } from '../domain/consent.ts';
import type { Clock, ReceivedGrant, Store } from '../ports.ts';
import { persist } from '../resilience.ts';

/** A consent that did not come about, with what the page for the owner needs. */
export interface FailedConsent {
  readonly kind: 'failed';
  readonly failure: ConsentFailure;
  readonly tenant: string;
  readonly channelName: string;
  readonly facts: ConsentFailureFacts;
}

export interface ConsentFailureFacts {
  readonly missingScopes?: readonly string[];
  /** Title of the YouTube channel that was chosen. */
  readonly youtubeTitle?: string;
  /** Title of the YouTube channel that an earlier consent pinned. */
  readonly pinnedTitle?: string;
}

export interface ConsentAttempt {
  readonly consent: Consent;
  readonly channel: Channel;
  /** What Google gave and what is stored already; undefined where it did not come to that. */
  readonly received: ReceivedGrant | undefined;
}

export type FailConsent = (
  caller: Caller,
  attempt: ConsentAttempt,
  failure: ConsentFailure,
  facts?: AuditRecord['facts'] & ConsentFailureFacts,
) => Promise<FailedConsent>;

/** Records that a consent failed, deletes what was received for it, and leaves the channel and its grant untouched. */
export function createFailConsent(deps: { store: Store; clock: Clock }): FailConsent {
  const { store, clock } = deps;

  return async (caller, { consent, channel, received }, failure, facts = {}) => {
    const now = clock.now();
    const target = { tenant: channel.tenant, channel: channel.id };
    const told = { consent: consent.id, failure, ...facts };
    const record = auditRecord(now, caller, 'consent.complete', 'CONSENT_FAILED', target, told);
    await persist(() =>
      received
        ? store.consents.reject(received, failure, now, record)
        : store.consents.fail(consent.id, failure, now, record),
    );
    return { kind: 'failed', failure, tenant: channel.tenant, channelName: channel.name, facts };
  };
}
