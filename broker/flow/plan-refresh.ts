import type { Caller } from '../domain/caller.ts';
import { isInUse, proofDueAt, refreshDueAt } from '../domain/refresh-schedule.ts';
import type { RefreshClaim } from '../ports.ts';

export interface RefreshPlan {
  readonly refreshDueAt: Date;
  /** When the grant is proven next, where it has been proven now. */
  readonly nextProofAt: Date;
}

/**
 * When a channel is refreshed next: one in use ahead of its token's end; any other when its grant is to be proven, which
 * a refresh does.
 */
export function createPlanRefresh(deps: {
  /** How long a channel counts as in use after it was used. */
  readonly activeWindowMs: number;
  /** When it was last used, as far as this process remembers. */
  readonly lastUsedAt: (channel: string) => Date | undefined;
}) {
  return (
    caller: Caller,
    { channel, lastUsedAt }: Pick<RefreshClaim, 'channel' | 'lastUsedAt'>,
    now: Date,
    expiresAt: Date,
  ): RefreshPlan => {
    const nextProofAt = proofDueAt(channel.id, now);
    const used = [lastUsedAt, deps.lastUsedAt(channel.id), caller.kind === 'workload' ? now : undefined];
    const ahead = used.some((at) => isInUse(at, now, deps.activeWindowMs));
    return { refreshDueAt: ahead ? refreshDueAt(channel.id, now, expiresAt) : nextProofAt, nextProofAt };
  };
}

export type PlanRefresh = ReturnType<typeof createPlanRefresh>;

/** Whether the refresh of this claim is to prove its grant, too. */
export function isProofDue({ proofDueAt: due }: Pick<RefreshClaim, 'proofDueAt'>, now: Date): boolean {
  return due === undefined || due <= now;
}
