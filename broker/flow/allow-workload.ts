/**
 * Lets a workload, or all below a path of SPIFFE IDs, read a channel's tokens: for whatever the owner granted or for some
 * scopes, for ever or until an instant.
 */
import { SpiffeIdError } from '../../identity/spiffe-id.ts';
import { checkWorkloadPattern } from '../../identity/workload-pattern.ts';
import { auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import { isTooWide, type RuleTerms } from '../domain/workload-rule.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store, WorkloadAccess } from '../ports.ts';
import type { Authorize } from './authorize.ts';
import { invalid } from './input.ts';

export interface AllowInput extends RuleTerms {
  readonly channel: string;
  /** A SPIFFE ID, or a path with `/*` at its end. */
  readonly spiffeId: string;
  readonly reason: string;
}

export function createAllowWorkload(deps: { authorize: Authorize; store: Store; clock: Clock; trustDomain: string }) {
  const { authorize, store, clock, trustDomain } = deps;

  /** Throws TOKEN_TOO_WIDE where the rule would let nobody in. */
  return async (caller: Person, input: AllowInput): Promise<WorkloadAccess> => {
    const channel = await authorize.channel(caller, 'workload.allow', input.channel);
    const { spiffeId, reason, scopes, expiresAt, acceptsWiderToken = false } = input;
    checkNamed(spiffeId, trustDomain);
    if (reason.length > 256) throw invalid('reason: at most 256 characters');
    if (scopes?.length === 0) throw invalid('scopes: name at least one, or leave it out for all that are granted');
    const createdAt = clock.now();
    if (expiresAt && expiresAt <= createdAt) throw invalid('expires_at: lies in the past');
    const granted = channel.grant?.scopes ?? [];
    if (isTooWide(granted, { scopes, acceptsWiderToken })) {
      throw new BrokerError('TOKEN_TOO_WIDE', { problems: [`the owner granted ${granted.join(' ')}`] });
    }
    const { id, tenant } = channel;
    const rule = { spiffeId, channel: id, tenant, reason, createdBy: caller.subject, createdAt };
    const terms = { scopes, expiresAt, acceptsWiderToken };
    const facts = {
      spiffeId,
      reason,
      ...(scopes && { scopes, widerToken: acceptsWiderToken }),
      ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    };
    const record = auditRecord(createdAt, caller, 'workload.allow', 'ok', { tenant, channel: id }, facts);
    await store.workloadAccess.allow({ ...rule, ...terms }, record);
    return { ...rule, ...terms };
  };
}

function checkNamed(text: string, trustDomain: string): void {
  try {
    checkWorkloadPattern(text, trustDomain);
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    throw invalid(`spiffe_id: ${error.message}`);
  }
}
