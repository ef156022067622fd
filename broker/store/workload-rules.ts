/** Which rules name a workload, and who is shut out of a tenant: what reads of tokens and of accesses share. */
import { type RawBuilder, sql } from 'kysely';
import type { RuleTerms } from '../domain/workload-rule.ts';

/**
 * The rules of a channel that name a workload, as a query with the columns scopes, expires_at and accepts_wider_token. In
 * two parts, so that each is a look into an index: by the workload's own name, and the few rules for a path.
 */
export function rulesNaming(spiffeId: RawBuilder<unknown>, channel: RawBuilder<unknown>): RawBuilder<unknown> {
  const terms = sql`rule.scopes, rule.expires_at, rule.accepts_wider_token`;
  return sql`
    select ${terms} from workload_access as rule
      where rule.spiffe_id = ${spiffeId} and rule.channel = ${channel} and ${notDenied(spiffeId)}
    union all
    select ${terms} from workload_access as rule
      where rule.channel = ${channel} and right(rule.spiffe_id, 2) = '/*'
        and starts_with(${spiffeId}, left(rule.spiffe_id, -1)) and ${notDenied(spiffeId)}`;
}

/** The tenant of the rule has not shut the workload out. */
function notDenied(spiffeId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql`not exists (select from workload_denials where subject = ${spiffeId} and tenant = rule.tenant)`;
}

/** A rule's terms as PostgreSQL's JSON has them. */
export interface TermsRow {
  readonly scopes: readonly string[] | null;
  readonly expires_at: Date | string | null;
  readonly accepts_wider_token: boolean;
}

export function toTerms({ scopes, expires_at, accepts_wider_token }: TermsRow): RuleTerms {
  return {
    ...(scopes && { scopes }),
    ...(expires_at && { expiresAt: new Date(expires_at) }),
    ...(accepts_wider_token && { acceptsWiderToken: true }),
  };
}
