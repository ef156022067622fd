/**
 * Stops a channel for a while: nothing of it is refreshed or served, and nothing is lost. When it is resumed, no token of
 * before is served: it is due at once, and its grant is proven by that.
 */
import { type AuditAction, auditRecord } from '../domain/audit-record.ts';
import type { Person } from '../domain/caller.ts';
import type { Channel, ChannelState } from '../domain/channel.ts';
import { BrokerError } from '../errors.ts';
import type { Clock, Store } from '../ports.ts';
import type { Authorize } from './authorize.ts';

export interface SuspensionInput {
  readonly channel: string;
  /** Kept in the audit record. */
  readonly reason: string;
}

export function createSuspendChannel(deps: {
  readonly authorize: Authorize;
  readonly store: Store;
  readonly clock: Clock;
  /** Told when a channel has become active, so that the scheduler knows of its due time. */
  readonly onActive: () => void;
}) {
  const { authorize, store, clock } = deps;

  /** Throws CHANNEL_STATE_UNFIT where the channel is in another state than `from`. */
  async function find(person: Person, action: AuditAction, id: string, from: ChannelState): Promise<Channel> {
    const channel = await authorize.channel(person, action, id);
    if (channel.state === from) return channel;
    throw new BrokerError('CHANNEL_STATE_UNFIT', {
      detail: `channel ${id} is ${channel.state}`,
      problems: [`the channel is ${channel.state}; this is done to one that is ${from}`],
    });
  }

  function recordOf(person: Person, action: AuditAction, channel: Channel, facts: Readonly<Record<string, string>>) {
    return auditRecord(clock.now(), person, action, 'ok', { tenant: channel.tenant, channel: channel.id }, facts);
  }

  async function asItIs(channel: Channel): Promise<Channel> {
    return (await store.channels.find(channel.id)) ?? channel;
  }

  return {
    async suspend(person: Person, { channel: id, reason }: SuspensionInput): Promise<Channel> {
      const channel = await find(person, 'channel.suspend', id, 'active');
      const record = recordOf(person, 'channel.suspend', channel, { state: 'suspended', reason });
      await store.channels.suspend({ id, at: record.at }, record);
      return asItIs(channel);
    },

    async resume(person: Person, { channel: id, reason }: SuspensionInput): Promise<Channel> {
      const channel = await find(person, 'channel.resume', id, 'suspended');
      const record = recordOf(person, 'channel.resume', channel, { state: 'active', reason });
      await store.channels.resume({ id, at: record.at }, record);
      deps.onActive();
      return asItIs(channel);
    },
  };
}
