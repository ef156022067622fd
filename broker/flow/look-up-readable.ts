/**
 * What decides whether a workload reads a channel: fresh from the database while that answers, many look-ups in one
 * query. While it does not answer in time, what this replica has last read for that workload and channel decides, as
 * long as the token lives that the channel had then, and only where it was a yes. A change that is heard of makes it
 * forget the channel and read it again.
 *
 * The risk accepted: an access or a channel that ended while this replica could not hear of it is served for the rest of
 * one token's life. A token that was released just before the end is as usable (docs/decisions).
 */
import { releaseRefusal } from '../domain/channel.ts';
import { permissionOf } from '../domain/workload-rule.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, ReadableChannel, Store } from '../ports.ts';
import { type DatabasePresence, isUnavailable } from './database-presence.ts';
import { inGroups } from './in-groups.ts';

const largestGroup = 500;
const mostWaiting = 20_000;
const mostRemembered = 50_000;
/** So few that readers find room in the queue. */
const mostReadAgain = 5_000;

export interface Decision {
  /** Undefined where there is no such channel. */
  readonly channel: ReadableChannel | undefined;
  /** When the database said so, where it does not answer now. */
  readonly rememberedFrom: Date | undefined;
}

export interface LookUpReadable {
  /** Throws STORE_UNAVAILABLE where the database does not answer in time and nothing is remembered. */
  find(spiffeId: string, channel: string): Promise<Decision>;
  /** Forgets what is remembered of a channel, or everything, and reads it again. */
  forget(channel?: string): void;
}

interface Remembered {
  readonly channel: ReadableChannel;
  readonly from: Date;
}

export function createLookUpReadable(deps: {
  readonly store: Pick<Store, 'findReadable'>;
  readonly presence: DatabasePresence;
  readonly clock: Clock;
}): LookUpReadable {
  const { store, presence, clock } = deps;
  /** channel → SPIFFE ID → what was read; the channel that was read least lately first */
  const memory = new Map<string, Map<string, Remembered>>();
  let remembered = 0;
  /** Rises with each `forget`: what was asked for before must not be remembered after. */
  let forgotten = 0;

  const ask = inGroups<{ readonly spiffeId: string; readonly channel: string }, ReadableChannel | undefined>({
    work: (asks) => presence.within(() => store.findReadable(asks)),
    largest: largestGroup,
    mostWaiting,
    full: () => new BrokerError('STORE_UNAVAILABLE', { detail: 'too many look-ups wait' }),
  });

  function remember(spiffeId: string, id: string, channel: ReadableChannel | undefined, from: Date): void {
    drop(spiffeId, id);
    if (!channel?.grant || !isAllowed(channel) || releaseRefusal(channel)) return;
    const readers = memory.get(id) ?? new Map<string, Remembered>();
    readers.set(spiffeId, { channel, from });
    memory.delete(id);
    memory.set(id, readers);
    remembered += 1;
    for (const [oldest] of memory) {
      if (remembered <= mostRemembered) return;
      evict(oldest);
    }
  }

  function drop(spiffeId: string, id: string): void {
    const readers = memory.get(id);
    if (!readers?.delete(spiffeId)) return;
    remembered -= 1;
    if (readers.size === 0) memory.delete(id);
  }

  function evict(id: string): void {
    remembered -= memory.get(id)?.size ?? 0;
    memory.delete(id);
  }

  function forget(id?: string): void {
    forgotten += 1;
    const channels = id === undefined ? [...memory.keys()].reverse() : [id];
    const readers = channels.flatMap((channel) =>
      [...(memory.get(channel)?.keys() ?? [])].map((reader) => ({ reader, channel })),
    );
    for (const channel of channels) evict(channel);
    // Read again at once: else nothing would be known here if the database went away before the next reader comes.
    for (const { reader, channel } of readers.slice(0, mostReadAgain)) find(reader, channel).catch(() => {});
  }

  /** A rule that is remembered ends at its time as any other. */
  function isAllowed({ rules }: ReadableChannel): boolean {
    return permissionOf(rules, clock.now()) !== undefined;
  }

  function recall(spiffeId: string, id: string): Decision | undefined {
    const known = memory.get(id)?.get(spiffeId);
    const ends = known?.channel.grant?.tokenExpiresAt;
    if (!known || !ends) return undefined;
    if (ends > clock.now()) return { channel: known.channel, rememberedFrom: known.from };
    drop(spiffeId, id);
    return undefined;
  }

  async function find(spiffeId: string, id: string): Promise<Decision> {
    if (!presence.isAway()) {
      const before = forgotten;
      try {
        const from = clock.now();
        const channel = await ask({ spiffeId, channel: id });
        if (before === forgotten) remember(spiffeId, id, channel, from);
        else if (!channel || !isAllowed(channel) || releaseRefusal(channel)) drop(spiffeId, id);
        return { channel, rememberedFrom: undefined };
      } catch (error) {
        if (!isUnavailable(error)) throw error;
      }
    }
    const decision = recall(spiffeId, id);
    if (decision) return decision;
    throw new BrokerError('STORE_UNAVAILABLE', { detail: 'no answer in time, and nothing remembered' });
  }

  return { find, forget };
}
