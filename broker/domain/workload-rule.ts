/**
 * What the access rules that name a workload for a channel add up to. Each rule lets in by itself, so two give what either
 * gives; one that has ended gives nothing.
 *
 * A rule may bound the scopes that are asked for. It cannot bound what the token opens: Google gives one access token with
 * all scopes of the grant. So a grant that is wider than the rule is refused, unless somebody has agreed to that with the
 * rule (docs/decisions/0015).
 */
import { missingScopes } from './scope.ts';

export interface RuleTerms {
  /** What may be asked for; absent for whatever the owner granted. */
  readonly scopes?: readonly string[] | undefined;
  /** From then on the rule lets nobody in; absent for never. */
  readonly expiresAt?: Date | undefined;
  /** Whether a token may be released that opens more than `scopes`. */
  readonly acceptsWiderToken?: boolean | undefined;
}

/** What a workload may do with a channel now. */
export type Permission = Pick<RuleTerms, 'scopes' | 'acceptsWiderToken'>;

/** Undefined where no rule is in force. */
export function permissionOf(rules: readonly RuleTerms[], now: Date): Permission | undefined {
  const inForce = rules.filter(({ expiresAt }) => expiresAt === undefined || now < expiresAt);
  if (inForce.length === 0) return undefined;
  const bounded = inForce.every(({ scopes }) => scopes !== undefined);
  return {
    scopes: bounded ? [...new Set(inForce.flatMap(({ scopes = [] }) => scopes))] : undefined,
    acceptsWiderToken: inForce.some(({ acceptsWiderToken }) => acceptsWiderToken === true),
  };
}

/** When the first of these rules ends that has not ended yet. */
export function nextEnd(rules: readonly RuleTerms[], now: Date): Date | undefined {
  const ends = rules.flatMap(({ expiresAt }) => (expiresAt && now < expiresAt ? [expiresAt.getTime()] : []));
  return ends.length > 0 ? new Date(Math.min(...ends)) : undefined;
}

/** Tells whether a token with these scopes opens more than the permission agrees to. */
export function isTooWide(granted: readonly string[], { scopes, acceptsWiderToken }: Permission): boolean {
  return scopes !== undefined && !acceptsWiderToken && missingScopes(granted, scopes).length > 0;
}

/** The granted scopes that may be asked for. */
export function usableScopes(granted: readonly string[], { scopes }: Permission): readonly string[] {
  if (scopes === undefined) return granted;
  return granted.filter((scope) => missingScopes([scope], scopes).length === 0);
}
