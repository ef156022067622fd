/**
 * Writes what became of refreshes in groups: those that end while one transaction is under way share the next one. A
 * refresh that ends alone waits for nobody; four hundred a second are some dozen transactions.
 */
import { asBrokerError, BrokerError } from '../errors.ts';
import type { SettledRefresh, SettleOutcome, Store } from '../ports.ts';
import { inGroups } from './in-groups.ts';

const largestGroup = 200;
const mostWaiting = 20_000;

type Settling = Pick<Store['channels'], 'refreshed' | 'refreshFailed'>;

/** Takes the place of the store's own methods; each caller hears of its own refresh alone. */
export function createSettleInGroups(
  channels: Pick<Store['channels'], 'settleAll'>,
  /** Told when a channel that was just refreshed is due again. */
  onDueAgain: () => void,
): Settling {
  const ask = inGroups<SettledRefresh, SettleOutcome | BrokerError>({
    work: settle,
    largest: largestGroup,
    mostWaiting,
    full: () => new BrokerError('STORE_UNAVAILABLE', { detail: 'too many refreshes wait to be written' }),
  });

  /** Throws where trying again can help. One that the database refuses for what it is fails alone. */
  async function settle(group: readonly SettledRefresh[]): Promise<readonly (SettleOutcome | BrokerError)[]> {
    try {
      return await channels.settleAll(group);
    } catch (error) {
      const refusal = asBrokerError(error);
      if (refusal.code === 'STORE_UNAVAILABLE') throw error;
      if (group.length === 1) return [refusal];
      const middle = Math.ceil(group.length / 2);
      return [...(await settle(group.slice(0, middle))), ...(await settle(group.slice(middle)))];
    }
  }

  async function one(settled: SettledRefresh): Promise<void> {
    const outcome = await ask(settled);
    if (outcome === 'written') return;
    if (outcome === 'due_again') return onDueAgain();
    if (outcome !== 'overtaken') throw outcome;
    const { channel, fence } = settled.claim;
    throw new BrokerError('STORE_CONFLICT', { detail: `the refresh of ${channel.id} was overtaken (fence ${fence})` });
  }

  return {
    refreshed: (claim, success, record) => one({ claim, success, record }),
    refreshFailed: (claim, failure, record) => one({ claim, failure, record }),
  };
}
