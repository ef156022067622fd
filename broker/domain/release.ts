/** Whether a workload gets a channel's tokens: the one rule behind GetAccessToken and Subscribe. */
import type { ErrorCode } from '../errors.ts';
import { type ChannelState, releaseRefusal } from './channel.ts';

/** Answers why not; undefined where it does. A channel that is not there and one that is not allowed look the same. */
export function releaseVerdict(
  channel: { readonly state: ChannelState; readonly hasGrant: boolean } | undefined,
  allowed: boolean,
): ErrorCode | undefined {
  if (!channel || !allowed) return 'ACCESS_DENIED';
  return releaseRefusal(channel) ?? (channel.hasGrant ? undefined : 'CONSENT_PENDING');
}
