/**
 * Asks about grants that ended because their Google account was disabled, now that Google says that it is enabled again.
 * One that lives makes its channel active: its owner need not consent anew. One that is dead stays what it is, and nobody is
 * told anything; as long as Google does not answer, it is asked again later.
 */
import { auditRecord } from '../domain/audit-record.ts';
import type { Scheduler } from '../domain/caller.ts';
import { asBrokerError } from '../errors.ts';
import type { Clock, RefreshClaim, Store } from '../ports.ts';
import { persist } from '../resilience.ts';
import { claimMs } from './refresh-channel.ts';
import type { RunClaim } from './run-claim.ts';

const againAfterMs = 5 * 60_000;
const lookEveryMs = 60_000;
const mostAtOnce = 8;

/** One step of a work loop. */
export function createWakeChannels(deps: {
  readonly store: Pick<Store, 'channels'>;
  readonly clock: Clock;
  readonly runClaim: RunClaim;
  /** The name of this replica. */
  readonly replica: string;
  /** A channel is active again. */
  readonly onActive: () => void;
}) {
  const { store, clock, runClaim, replica, onActive } = deps;

  return async (caller: Scheduler): Promise<number> => {
    const now = clock.now();
    const lease = { now, until: new Date(now.getTime() + claimMs), owner: replica };
    const claims = await store.channels.claimToWake(lease, new Date(now.getTime() + againAfterMs), mostAtOnce);
    await Promise.all(claims.map((claim) => wake(caller, claim)));
    return claims.length === mostAtOnce ? 0 : lookEveryMs;
  };

  async function wake(caller: Scheduler, claim: RefreshClaim): Promise<void> {
    try {
      await runClaim(caller, claim);
      await activate(caller, claim);
    } catch (error) {
      // A dead grant comes as that, too: no verdict on a channel that is not active is ever written. Everything else passes.
      if (asBrokerError(error).code === 'STORE_CONFLICT') await store.channels.letSleep(claim);
    }
  }

  async function activate(caller: Scheduler, { channel, grant }: RefreshClaim): Promise<void> {
    const at = clock.now();
    const reason = 'account_enabled';
    const change = { id: channel.id, from: 'needs_reconsent', to: 'active', reason, at } as const;
    const target = { tenant: channel.tenant, channel: channel.id };
    const record = auditRecord(at, caller, 'channel.state', 'ok', target, { state: 'active', reason });
    await persist(() => store.channels.changeState({ ...change, generation: grant.generation }, record));
    onActive();
  }
}
