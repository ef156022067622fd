/** What each class of failure does to a channel: the table of docs/refreshing.md, row by row. */
import type { StateReason } from '../domain/channel.ts';
import type { FailureClass, TokenEndpointFailure } from '../domain/token-endpoint-failure.ts';
import { BrokerError, type ErrorCode } from '../errors.ts';
import type { GrantEnd } from './end-grant.ts';

/** What a reader is told of a refresh that Google did not do, with what Google said. */
export class RefreshRefused extends BrokerError {
  readonly failure: TokenEndpointFailure;

  constructor(told: ErrorCode, failure: TokenEndpointFailure) {
    super(told, {
      detail: `${failure.class} ${failure.status ?? 'no answer'} ${failure.error ?? ''}`.trim(),
      ...(failure.retryAfter === undefined ? {} : { retryAfter: failure.retryAfter }),
    });
    this.failure = failure;
  }
}

export interface Verdict {
  /** What a reader of the channel is told. */
  readonly told: ErrorCode;
  /** The state that the channel goes to; absent where it stays active. */
  readonly state?: GrantEnd['state'];
  /** Absent where it is read from what is known of the grant. */
  readonly reason?: StateReason;
}

/** One that ends the grant. */
export type EndingVerdict = Verdict & Required<Pick<Verdict, 'state'>>;

export const verdicts: Readonly<Record<FailureClass, Verdict>> = {
  grant_dead: { told: 'RECONSENT_REQUIRED', state: 'needs_reconsent' },
  session_control: { told: 'RECONSENT_REQUIRED', state: 'needs_reconsent', reason: 'session_control' },
  admin_policy: { told: 'CHANNEL_BLOCKED', state: 'blocked', reason: 'admin_policy_enforced' },
  dpop_rejected: { told: 'BROKER_INCIDENT' },
  request_rejected: { told: 'BROKER_INCIDENT' },
  client_rejected: { told: 'OAUTH_CLIENT_REJECTED' },
  rate_limited: { told: 'AUTHORIZATION_SERVER_UNAVAILABLE' },
  unavailable: { told: 'AUTHORIZATION_SERVER_UNAVAILABLE' },
};

/** Whether a class is believed only where it is answered twice. */
export function wantsConfirmation(failureClass: FailureClass): boolean {
  return verdicts[failureClass].state === 'needs_reconsent';
}

/**
 * Whether a reason tells who ended the grant, so that its end says nothing of the OAuth client: what died of a revocation
 * here was accepted with it, and of the others Google itself has told, by a signed event about that account.
 */
export function isExplained(reason: StateReason): boolean {
  return ['sibling_revoked', 'grant_revoked', 'account_disabled'].includes(reason);
}
