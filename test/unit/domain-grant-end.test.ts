/** Why a grant ended: what is claimed of it, and from what. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GrantEvidence, likelyReason } from '../../broker/domain/grant-end.ts';

const hour = 3_600_000;
const day = 24 * hour;
const consentedAt = new Date('2026-03-01T12:00:00Z');
const after = (ms: number) => new Date(consentedAt.getTime() + ms);

function evidence(given: Partial<GrantEvidence['grant']> & Partial<Omit<GrantEvidence, 'grant'>>): GrantEvidence {
  const { siblingRevoked = false, publishing = 'production', liveGrants = 1, olderGrants = 0, ...grant } = given;
  return {
    grant: { consentedAt, lastRefreshAt: undefined, ...grant },
    siblingRevoked,
    publishing,
    liveGrants,
    olderGrants,
  };
}

const cases: readonly (readonly [string, GrantEvidence, Date, string])[] = [
  ['nothing is known', evidence({ lastRefreshAt: after(40 * day) }), after(40 * day), 'grant_revoked_or_expired'],
  [
    'a sibling was revoked here, of which Google tells, too',
    evidence({ siblingRevoked: true, securityEvent: { type: 'tokens-revoked', at: after(day) } }),
    after(day),
    'sibling_revoked',
  ],
  [
    'a client in testing, alive before seven days and dead after',
    evidence({ publishing: 'testing', lastRefreshAt: after(7 * day - hour / 2) }),
    after(7 * day + hour / 2),
    'testing_mode_expired',
  ],
  [
    'a client in testing, dead before seven days',
    evidence({ publishing: 'testing', lastRefreshAt: after(3 * day) }),
    after(3 * day + hour),
    'grant_revoked_or_expired',
  ],
  [
    'a client in testing, alive well after seven days',
    evidence({ publishing: 'testing', lastRefreshAt: after(8 * day) }),
    after(8 * day + hour),
    'grant_revoked_or_expired',
  ],
  [
    'a client in production, dead at seven days',
    evidence({ lastRefreshAt: after(7 * day - hour / 2) }),
    after(7 * day + hour / 2),
    'grant_revoked_or_expired',
  ],
  [
    'Google said at the consent when the grant ends, and it has',
    evidence({ refreshTokenExpiresAt: after(2 * day), lastRefreshAt: after(2 * day - hour) }),
    after(2 * day),
    'grant_expired',
  ],
  [
    'Google said at the consent when the grant ends, and it has time left',
    evidence({ refreshTokenExpiresAt: after(5 * day), lastRefreshAt: after(2 * day) }),
    after(2 * day + hour),
    'grant_revoked_or_expired',
  ],
  ['not used for six months', evidence({ lastRefreshAt: after(day) }), after(182 * day), 'idle_six_months'],
  ['never used for six months', evidence({}), after(181 * day), 'idle_six_months'],
  ['not used for five months', evidence({ lastRefreshAt: after(day) }), after(152 * day), 'grant_revoked_or_expired'],
  ['the oldest of a hundred', evidence({ liveGrants: 100 }), after(day), 'token_limit'],
  [
    'one of a hundred, not the oldest',
    evidence({ liveGrants: 100, olderGrants: 1 }),
    after(day),
    'grant_revoked_or_expired',
  ],
  ['the oldest of ninety-nine', evidence({ liveGrants: 99 }), after(day), 'grant_revoked_or_expired'],
  ...(['token-revoked', 'tokens-revoked'] as const).map(
    (type) =>
      [
        `Google told of ${type}`,
        evidence({ securityEvent: { type, at: after(day) }, publishing: 'testing' }),
        after(7 * day),
        'grant_revoked',
      ] as const,
  ),
  [
    'Google told that the account is disabled',
    evidence({ securityEvent: { type: 'account-disabled', at: after(day) } }),
    after(day),
    'account_disabled',
  ],
  [
    'Google told of ended sessions, which end no grant',
    evidence({ securityEvent: { type: 'sessions-revoked', at: after(day) } }),
    after(day),
    'grant_revoked_or_expired',
  ],
];

describe('the likely reason of a grant’s end', () => {
  for (const [what, known, now, reason] of cases) {
    test(`${what}: ${reason}`, () => assert.equal(likelyReason(known, now), reason));
  }
});
