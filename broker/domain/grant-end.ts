/**
 * Why a grant ended. Google answers `invalid_grant` and no more: everything else here is read from what we know of the
 * grant, and only what we know is claimed. Where nothing is known, the reason says no more than Google does.
 */
import type { Grant, StateReason } from './channel.ts';
import type { Publishing } from './oauth-client.ts';

const hour = 3_600_000;
const day = 24 * hour;

/** Google's documents on refresh token expiration, as of 2026: of a client in testing, after seven days. */
const testingModeLife = 7 * day;
/** Our clock and Google's, and the time between the token and the consent's end. */
const slack = hour;
/** Not used for six months: the shortest six months there are. */
const longestIdle = 181 * day;
/** So many live refresh tokens for one account and one OAuth client; the next one ends the oldest. */
export const mostGrantsOfAccount = 100;

/** What a grant ends by after these security events, by the last part of their types. */
export const reasonsTold: Readonly<Record<string, StateReason>> = {
  'token-revoked': 'grant_revoked',
  'tokens-revoked': 'grant_revoked',
  'account-disabled': 'account_disabled',
};

/** What a proof found of the account, with a token that Google took: a newer refresh token changes nothing of it. */
export const reasonsProven: readonly StateReason[] = ['scope_reduced', 'channel_drift'];

/** What is known of a grant that Google takes for dead. */
export interface GrantEvidence {
  readonly grant: Pick<Grant, 'consentedAt' | 'lastRefreshAt' | 'refreshTokenExpiresAt' | 'securityEvent'>;
  /** Whether Google may have ended it with that of a sibling that was revoked here lately. */
  readonly siblingRevoked: boolean;
  readonly publishing: Publishing;
  /** Grants of the same account and OAuth client that we hold for alive, this one included. */
  readonly liveGrants: number;
  /** How many of those are older than this one. */
  readonly olderGrants: number;
}

/** The likely reason of an `invalid_grant` without a subtype. */
export function likelyReason(evidence: GrantEvidence, now: Date): StateReason {
  const { grant, siblingRevoked, publishing, liveGrants, olderGrants } = evidence;
  const at = now.getTime();
  const consented = grant.consentedAt.getTime();
  const lastAlive = grant.lastRefreshAt?.getTime() ?? consented;
  // Of this Google tells, too: as of anybody's revocation.
  if (siblingRevoked) return 'sibling_revoked';
  const told = reasonTold(grant.securityEvent?.type);
  if (told) return told;
  if (grant.refreshTokenExpiresAt && grant.refreshTokenExpiresAt.getTime() <= at + slack) return 'grant_expired';
  // It was alive before that age and is dead after it.
  const end = consented + testingModeLife;
  if (publishing === 'testing' && lastAlive <= end + slack && at >= end - slack) return 'testing_mode_expired';
  if (at - lastAlive >= longestIdle) return 'idle_six_months';
  if (liveGrants >= mostGrantsOfAccount && olderGrants === 0) return 'token_limit';
  return 'grant_revoked_or_expired';
}

/** What a security event that Google sent about this grant says of its end. */
function reasonTold(event: string | undefined): StateReason | undefined {
  return event === undefined ? undefined : reasonsTold[event];
}

/** The same for the audit record: what the reason was read from. */
export function evidenceFacts({ grant, publishing, liveGrants }: GrantEvidence, now: Date) {
  const daysSince = (instant: Date) => Math.floor((now.getTime() - instant.getTime()) / day);
  return {
    grantAgeDays: daysSince(grant.consentedAt),
    idleDays: daysSince(grant.lastRefreshAt ?? grant.consentedAt),
    publishing,
    liveGrants,
    ...(grant.securityEvent ? { securityEvent: grant.securityEvent.type } : {}),
  };
}
