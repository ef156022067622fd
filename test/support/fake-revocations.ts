/** Suspensions and revocations that are kept in memory: for what the HTTP room and the CLI do with them. */
import type { Channel, StateReason } from '../../broker/domain/channel.ts';
import type { Secret } from '../../broker/domain/secret.ts';
import { BrokerError } from '../../broker/errors.ts';
import type { ConsentLink } from '../../broker/flow/invite-consent.ts';
import type { Flows } from '../../broker/http/flows.ts';
import type { ChannelRevocation } from '../../broker/ports.ts';

const at = new Date('2026-03-01T12:00:00Z');
/** What the plan is called. */
export const plan = 'plan-of-north-studio';

const sibling = {
  id: 'ch_1123456789abcdefghjkmnpqrs',
  tenant: 'acme',
  name: 'south-studio',
  state: 'active',
  owner: 'alice',
  admins: [],
  generation: 1,
} as const;

export function createFakeRevocations(
  first: Channel,
  link: ConsentLink,
): Pick<Flows, 'suspendChannel' | 'revokeChannel' | 'revokeByOwner'> {
  let channel = first;
  let revocation: ChannelRevocation | undefined;

  function find(id: string): Channel {
    if (id !== channel.id) throw new BrokerError('CHANNEL_NOT_FOUND');
    return channel;
  }

  function step(id: string, from: Channel['state'], to: Channel['state'], reason: StateReason): Channel {
    if (find(id).state !== from) {
      const problems = [`the channel is ${channel.state}; this is done to one that is ${from}`];
      throw new BrokerError('CHANNEL_STATE_UNFIT', { problems });
    }
    channel = { ...channel, state: to, reason };
    return channel;
  }

  function alive(id: string): Channel {
    if (find(id).state === 'revoked') throw new BrokerError('CHANNEL_REVOKED');
    return channel;
  }

  function open(given: Secret<string>): void {
    if (given.reveal() !== link.token.reveal()) throw new BrokerError('INVALID_REVOKE_LINK');
  }

  function revoke(given: string, reason: StateReason): void {
    if (given !== plan) throw new BrokerError('REVOCATION_PLAN_CHANGED');
    channel = { ...alive(channel.id), state: 'revoked', reason };
    revocation = {
      channel: channel.id,
      generation: 1,
      requestedAt: at,
      outcome: 'revoked',
      answeredAt: at,
      attempts: 1,
      dueAt: at,
    };
  }

  return {
    suspendChannel: {
      suspend: async (_person, input) => step(input.channel, 'active', 'suspended', 'suspended_by_admin'),
      resume: async (_person, input) => step(input.channel, 'suspended', 'active', 'resumed_by_admin'),
    },
    revokeChannel: {
      plan: async (_person, input) => ({
        channel: alive(input.channel),
        atGoogle: true,
        named: [sibling],
        unnamed: { active: 1, suspended: 0 },
        digest: plan,
      }),
      revoke: async (_person, input) => {
        alive(input.channel);
        revoke(input.plan, 'revoked_by_admin');
        return { channel, revocation };
      },
      status: async (_person, input) => ({ channel: find(input.channel), revocation }),
    },
    revokeByOwner: {
      invite: async (_person, input) => {
        alive(input.channel);
        return link;
      },
      view: async (_owner, input) => {
        open(input.link);
        const { tenant, name, grant } = channel;
        const siblings = { here: 1, elsewhere: 1 };
        return { tenant, channelName: name, youtubeTitle: grant?.youtubeTitle, siblings, plan };
      },
      revoke: async (_owner, input) => {
        open(input.link);
        revoke(input.plan, 'revoked_by_owner');
        return { tenant: channel.tenant };
      },
    },
  };
}
