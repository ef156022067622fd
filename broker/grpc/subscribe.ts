/**
 * Subscribe on the wire. A stream has one message on its way at most: whoever reads slowly gets the newest state next and
 * never a queue of old ones. Who subscribes is asked again at every message and whenever somebody is shut out, and the stream
 * ends with the certificate. Who is shut out is told so of every channel, and then the stream ends.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { ChannelsUpdate, SubscribeRequest } from '../../proto/load.ts';
import { asBrokerError, BrokerError, type ErrorCode, errorTable } from '../errors.ts';
import type { ShutOut } from '../flow/shut-out.ts';
import type { WatchChannels, WatchedChannel } from '../flow/watch-channels.ts';
import type { Clock } from '../ports.ts';
import type { Admission } from './admission.ts';
import type { Peer } from './peer.ts';
import { toServiceError } from './service-error.ts';

/** How often the state is sent although nothing has changed; the .proto promises it. */
const repeatEveryMs = 10_000;
/** A message that is not taken for so long is taken by nobody. */
const takenWithinMs = 30_000;
/** About the workload, not about the channel. */
const refusesWorkload: ReadonlySet<ErrorCode> = new Set(['ACCESS_DENIED', 'INVALID_REQUEST', 'WORKLOAD_DENIED']);
/** With these nothing of before may be used any more. */
const endsTokens: ReadonlySet<ErrorCode> = new Set(['WORKLOAD_DENIED', 'CERTIFICATE_REVOKED']);
const lastWordMs = 1_000;
/** The longest that a timer can count. */
const longestTimerMs = 2 ** 31 - 1;

export interface SubscribeDeps {
  readonly admission: Admission;
  readonly watchChannels: Pick<WatchChannels, 'watch'>;
  readonly shutOut: Pick<ShutOut, 'onChange'>;
  /** Of certificates. */
  readonly identityClock: Clock;
  readonly repeatEveryMs?: number;
  readonly takenWithinMs?: number;
  /** Told how each subscription ended: `ok` or the stable code. */
  readonly onSubscriptionEnded: (result: string) => void;
  readonly onFault: (error: unknown) => void;
}

type Call = ServerWritableStream<SubscribeRequest, ChannelsUpdate>;

export function createSubscribe(deps: SubscribeDeps) {
  return (call: Call): void => {
    const subscription = open(call, deps);
    deps.admission.admit(call).then(subscription.begin, subscription.end);
  };
}

function open(call: Call, deps: SubscribeDeps) {
  const { admission, watchChannels, shutOut, identityClock } = deps;
  let newest: readonly WatchedChannel[] | undefined;
  let due = false;
  let sending = false;
  let ended = false;
  let watch: { close(): void } | undefined;
  let stopListening = () => {};
  const timers = new Set<NodeJS.Timeout>();
  call.on('cancelled', () => finish('cancelled'));
  call.on('close', () => finish('cancelled'));

  function finish(result: string): boolean {
    if (ended) return false;
    ended = true;
    watch?.close();
    stopListening();
    for (const timer of timers) clearTimeout(timer);
    deps.onSubscriptionEnded(result);
    return true;
  }

  /** With an error, or without one where the broker stops. */
  function end(error?: unknown): void {
    const refusal = error === undefined ? undefined : asBrokerError(error);
    if (!finish(refusal?.code ?? 'ok')) return;
    if (refusal?.code === 'INTERNAL') deps.onFault(error);
    if (!refusal) return void call.end();
    const goodbye = () => void call.emit('error', toServiceError(refusal));
    // Tokens are dropped by what the stream says, not by its end.
    if (endsTokens.has(refusal.code)) sayLast(refusal.code).then(goodbye, goodbye);
    else goodbye();
  }

  /** Says the same of every channel; waits for a moment until that is taken. */
  function sayLast(refusal: ErrorCode): Promise<void> {
    const channels = [...new Set(call.request.channelIds)];
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, lastWordMs);
    call.write(toUpdate(channels.map((channel) => ({ channel, refusal, generation: 0 }))), () => resolve());
    return promise;
  }

  function begin(caller: Peer): void {
    if (ended) return;
    const life = caller.certificateExpiresAt.getTime() - identityClock.now().getTime();
    timers.add(setTimeout(stillProven, Math.min(Math.max(life, 0) + 1, longestTimerMs)));
    timers.add(setInterval(send, deps.repeatEveryMs ?? repeatEveryMs));
    stopListening = shutOut.onChange(stillProven);
    if (!stillProven()) return;
    try {
      watch = watchChannels.watch(caller, call.request.channelIds, {
        update(channels) {
          newest = channels;
          send();
        },
        end,
      });
    } catch (error) {
      end(error);
    }
  }

  function stillProven(): boolean {
    try {
      admission.identify(call);
      return true;
    } catch (error) {
      const refusal = asBrokerError(error);
      if (!ended) admission.recordDenied(call, refusal).catch(deps.onFault);
      end(refusal);
      return false;
    }
  }

  function send(): void {
    due = true;
    if (ended || sending || !newest || !stillProven()) return;
    due = false;
    sending = true;
    const impatience = setTimeout(
      () => end(new BrokerError('RATE_LIMITED', { detail: 'the subscriber takes no messages', retryAfter: 5 })),
      deps.takenWithinMs ?? takenWithinMs,
    );
    timers.add(impatience);
    call.write(toUpdate(newest), () => {
      sending = false;
      clearTimeout(impatience);
      timers.delete(impatience);
      if (due) send();
    });
  }

  return { begin, end };
}

function toUpdate(channels: readonly WatchedChannel[]): ChannelsUpdate {
  return {
    channels: channels.map(({ channel, refusal, generation }) => {
      const row = refusal && errorTable[refusal];
      const denied = refusal !== undefined && refusesWorkload.has(refusal);
      return {
        channelId: channel,
        availability: denied ? 'DENIED' : refusal ? 'UNAVAILABLE' : 'AVAILABLE',
        code: refusal ?? '',
        generation,
        message: row ? `${row.sentence} ${row.next}` : '',
      };
    }),
  };
}
