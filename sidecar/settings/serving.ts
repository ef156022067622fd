/** Settings of what workers on this machine are served, and how fresh it is. */
import * as z from 'zod';
import type { LoopbackAddress } from '../endpoints/listen.ts';
import { channelIds, loopback, port, seconds } from './formats.ts';

export interface ServingConfig {
  /** The native interface. */
  readonly listen: LoopbackAddress;
  /** The GCE metadata protocol: channel id -> port, on the host of `listen`. */
  readonly gceChannels: ReadonlyMap<string, number>;
  /** Channels whose tokens are fetched at once and kept fresh, whether or not anybody reads them; `*` for all that have a port or a file. */
  readonly prefetch: readonly string[] | '*';
  /** What to do where the broker tells nothing of a channel; in milliseconds. */
  readonly unheard: { readonly patienceMs: number; readonly recheckMs: number };
}

const channelPorts = z.string().transform((text, context): ReadonlyMap<string, number> => {
  const ports = new Map<string, number>();
  for (const pair of text.split(',').filter(Boolean)) {
    const [, channel, digits] = /^([A-Za-z0-9_-]{1,64})=(\d+)$/.exec(pair.trim()) ?? [];
    const parsed = port.safeParse(digits);
    if (channel === undefined || !parsed.success) context.addIssue(`has ${pair}, which is not CHANNEL_ID=PORT`);
    else if (ports.has(channel)) context.addIssue(`names the channel ${channel} twice`);
    else if (parsed.data !== 0 && [...ports.values()].includes(parsed.data))
      context.addIssue(`gives the port ${parsed.data} to two channels`);
    else ports.set(channel, parsed.data);
  }
  return ports;
});

export const servingSettings = z.strictObject({
  SIDECAR_LISTEN: loopback.prefault('127.0.0.1:7070').describe('Where workers ask for tokens; a loopback address.'),
  SIDECAR_GCE_CHANNELS: channelPorts
    .prefault('')
    .describe('Channels that are served by the GCE metadata protocol, each on a port of its own: CHANNEL_ID=PORT,…'),
  SIDECAR_PREFETCH: z
    .literal('*')
    .or(channelIds)
    .prefault('')
    .describe(
      'Channels whose tokens are fetched at the start and kept fresh, also while nobody reads them: CHANNEL_ID,…, or * for all that have a port or a file.',
    ),
  SIDECAR_UNHEARD_AFTER: seconds
    .prefault('30')
    .describe(
      'After how many seconds without a word of the broker a channel’s token is checked with it at short intervals; the broker speaks every 10.',
    ),
  SIDECAR_RECHECK_EVERY: seconds.prefault('15').describe('How many seconds lie between these checks.'),
});

/** What the settings say together. */
export function servingOf(set: z.output<typeof servingSettings>): ServingConfig {
  return {
    listen: set.SIDECAR_LISTEN,
    gceChannels: set.SIDECAR_GCE_CHANNELS,
    prefetch: set.SIDECAR_PREFETCH,
    unheard: { patienceMs: set.SIDECAR_UNHEARD_AFTER * 1_000, recheckMs: set.SIDECAR_RECHECK_EVERY * 1_000 },
  };
}
