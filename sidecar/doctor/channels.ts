/** Whether the broker would release a token of each channel, without having it release one. */
import type { BrokerConnection } from '../broker-connection.ts';
import { SidecarError } from '../errors.ts';
import { type Finding, told, trap, well } from './finding.ts';

const DEADLINE_MS = 5_000;

export async function examineChannels(
  connection: BrokerConnection,
  channels: readonly string[],
): Promise<readonly Finding[]> {
  if (channels.length === 0) return [];
  const { promise, resolve } = Promise.withResolvers<readonly Finding[]>();
  const silent = told('BROKER_UNREACHABLE', 'the broker does not say what it thinks of the channels');
  const impatience = setTimeout(() => resolve([silent]), DEADLINE_MS);
  const stream = connection.subscribe(channels, {
    update: ({ channels: statuses }) =>
      resolve(
        statuses.map(({ channelId, availability, code, message }) =>
          availability === 'AVAILABLE'
            ? well('CHANNEL', `Tokens of ${channelId} are released to this workload.`)
            : trap('CHANNEL_REFUSED', `${channelId}: ${code}.`, { cure: message }),
        ),
      ),
    ended: (error) => resolve([error instanceof SidecarError ? told(error.code, error.sentence, error.next) : silent]),
  });
  const findings = await promise;
  clearTimeout(impatience);
  stream.cancel();
  return findings;
}
