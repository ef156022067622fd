/** Whether a workload gets a channel's tokens: the one rule behind GetAccessToken and Subscribe. */
import type { ErrorCode } from '../errors.ts';
import { type ChannelState, releaseRefusal } from './channel.ts';
import { isTooWide, type Permission } from './workload-rule.ts';

/**
 * Answers why not; undefined where it does. A channel that is not there and one that no rule names the workload for look
 * the same.
 *
 * @param channel.grantedScopes undefined where there is no grant
 */
export function releaseVerdict(
  channel: { readonly state: ChannelState; readonly grantedScopes: readonly string[] | undefined } | undefined,
  permission: Permission | undefined,
): ErrorCode | undefined {
  if (!channel || !permission) return 'ACCESS_DENIED';
  const refusal = releaseRefusal(channel) ?? (channel.grantedScopes ? undefined : 'CONSENT_PENDING');
  if (refusal) return refusal;
  return isTooWide(channel.grantedScopes ?? [], permission) ? 'TOKEN_TOO_WIDE' : undefined;
}
