/**
 * Hears from the broker what becomes of channels. A stream names its channels at its beginning, so another set of
 * channels, or another connection, is another stream: it is opened beside the old one, which ends when the new one has
 * spoken. The broker says something every ten seconds; a stream that is silent for longer is dead.
 */
import type { ChannelStatus } from '../proto/load.ts';
import type { BrokerClient } from './broker-client.ts';
import { SidecarError, sidecarError } from './errors.ts';
import { type Log, reasonOf } from './log.ts';

/** The broker takes no more in one stream; channels beyond are checked again and again instead. */
const MOST_CHANNELS = 1_000;
/** Changes of the set within this become one stream. */
const GATHER_MS = 20;
const SPEAKS_WITHIN_MS = 30_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;
/** A broker that does not know the call is asked again after an update at the earliest. */
const UNSUPPORTED_RETRY_MS = 300_000;

export interface Subscription {
  /** Says which channels to hear of, the most important first; none is fine. */
  want(channels: Iterable<string>): void;
  /** Opens the stream anew: there is another connection. */
  renew(): void;
  /** Why nothing has been heard for longer than `ms`; undefined while all is well or there is nothing to hear. */
  silentFor(ms: number): SidecarError | undefined;
  /** For how long nothing has been heard, in milliseconds; 0 where there is nothing to hear. */
  silence(): number;
  stop(): void;
}

export interface SubscriptionOptions {
  readonly broker: Pick<BrokerClient, 'subscribe'>;
  /** Told the state of all channels, at first and after each change, and now and then. */
  readonly onStatus: (channels: readonly ChannelStatus[]) => void;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

interface Stream {
  cancel(): void;
  silence: NodeJS.Timeout | undefined;
}

export function createSubscription({ broker, onStatus, log, now, random }: SubscriptionOptions): Subscription {
  let wanted: readonly string[] = [];
  let live: Stream | undefined;
  let opening: Stream | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let problem: SidecarError | undefined;
  let heardAt = now();
  let stopped = false;

  const close = (stream: Stream | undefined): void => {
    if (!stream) return;
    clearTimeout(stream.silence);
    stream.cancel();
  };

  const openIn = (milliseconds: number): void => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(open, milliseconds);
  };

  const open = (): void => {
    close(opening);
    opening = undefined;
    if (wanted.length === 0) {
      close(live);
      live = undefined;
      return;
    }
    const stream: Stream = { cancel: () => {}, silence: undefined };
    opening = stream;
    listenFor(stream);
    try {
      const { cancel } = broker.subscribe(wanted, {
        update: ({ channels }) => heard(stream, channels),
        ended: (error) => lost(stream, error),
      });
      stream.cancel = cancel;
    } catch (error) {
      lost(stream, error instanceof SidecarError ? error : sidecarError('BROKER_FAILING', { cause: error }));
    }
  };

  const listenFor = (stream: Stream): void => {
    clearTimeout(stream.silence);
    stream.silence = setTimeout(() => {
      stream.cancel();
      lost(stream, sidecarError('BROKER_UNREACHABLE'));
    }, SPEAKS_WITHIN_MS);
  };

  const heard = (stream: Stream, channels: readonly ChannelStatus[]): void => {
    if (stream !== opening && stream !== live) return;
    if (stream === opening) {
      close(live);
      live = stream;
      opening = undefined;
    }
    if (problem) log.info({ channels: channels.length }, 'changes are heard of');
    problem = undefined;
    failures = 0;
    heardAt = now();
    listenFor(stream);
    onStatus(channels);
  };

  const lost = (stream: Stream, error: SidecarError | undefined): void => {
    if (stream !== opening && stream !== live) return;
    clearTimeout(stream.silence);
    const replaced = stream === live && opening !== undefined;
    if (stream === live) live = undefined;
    else opening = undefined;
    if (stopped || replaced) return;
    if (error && error.code !== problem?.code) {
      log.warn({ code: error.code, reason: reasonOf(error), next: error.next }, 'changes are not heard of');
    }
    problem = error ?? problem;
    const longest = Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS);
    failures += 1;
    const least = error?.code === 'BROKER_TOO_OLD' ? UNSUPPORTED_RETRY_MS : (error?.retryAfter ?? 0) * 1_000;
    openIn(Math.min(least, UNSUPPORTED_RETRY_MS) + longest * (0.2 + 0.8 * random()));
  };

  return {
    want(channels) {
      const next = [...new Set(channels)].slice(0, MOST_CHANNELS);
      const known = new Set(wanted);
      if (next.length === known.size && next.every((channel) => known.has(channel))) return;
      if (wanted.length === 0) heardAt = now();
      wanted = next;
      openIn(GATHER_MS);
    },
    renew() {
      if (wanted.length === 0) return;
      failures = 0;
      openIn(0);
    },
    silentFor(milliseconds) {
      if (wanted.length === 0 || now() - heardAt <= milliseconds) return undefined;
      return problem ?? sidecarError('BROKER_UNREACHABLE');
    },
    silence: () => (wanted.length === 0 ? 0 : now() - heardAt),
    stop() {
      stopped = true;
      clearTimeout(timer);
      close(opening);
      close(live);
    },
  };
}
