import type { ChannelStatus } from '../../proto/load.ts';
import type { BrokerConnection } from '../../sidecar/broker-connection.ts';
import type { SidecarError } from '../../sidecar/errors.ts';
import { until } from './poll.ts';
import { atEnd, type Scope } from './scope.ts';

/** A stream of `Subscribe` as it is heard. */
export interface HeardSubscription {
  /** Every message, each with all channels. */
  readonly messages: readonly (readonly ChannelStatus[])[];
  /** How it ended; undefined while it is open. */
  readonly end: { readonly error: SidecarError | undefined } | undefined;
  /** `AVAILABLE 1`, `UNAVAILABLE 1 CHANNEL_REVOKED`, … of a channel in the newest message. */
  standing(channel: string): string | undefined;
  /** Waits until a channel stands so. */
  stands(channel: string, standing: string): Promise<void>;
  ended(): Promise<SidecarError | undefined>;
  cancel(): void;
}

/** Subscribes; cancelled with the scope. */
export function useSubscription(
  scope: Scope,
  subscribe: BrokerConnection['subscribe'],
  channels: readonly string[],
): HeardSubscription {
  const messages: (readonly ChannelStatus[])[] = [];
  let end: HeardSubscription['end'];
  const stream = subscribe(channels, {
    update: (update) => void messages.push(update.channels),
    ended: (error) => {
      end = { error };
    },
  });
  atEnd(scope, () => stream.cancel());
  const standing = (channel: string) => {
    const status = messages.at(-1)?.find(({ channelId }) => channelId === channel);
    return status && `${status.availability} ${status.generation} ${status.code}`.trim();
  };
  return {
    messages,
    get end() {
      return end;
    },
    standing,
    stands: (channel, wanted) => until(`${channel} is ${wanted}`, () => standing(channel) === wanted),
    async ended() {
      await until('the subscription ends', () => end !== undefined);
      return end?.error;
    },
    cancel: stream.cancel,
  };
}
