/**
 * Keeps a notification service that is down from being asked by everything that waits for it: after five tries in a row that
 * got no answer or a 5xx or 429, whatever they were about, only one try at a time probes it, first half a minute later, then
 * longer and longer. What comes meanwhile is held back, not tried and not counted.
 */
import type { Clock, DeliveryProblem, NotificationReceiver, OutgoingNotification } from '../ports.ts';
import { createBulwark } from '../resilience.ts';

const failuresToBreak = 5;
const firstOpenMs = 60_000;
const longestOpenMs = 10 * 60_000;
/** While one probes, the others look again after this. */
const probeMs = 30_000;

export interface ReceiverBreaker {
  /** Until when nothing is to be sent; undefined where something may. */
  heldUntil(): Date | undefined;
  /** As the receiver's own; `held` where it must not be asked: others have found out meanwhile that it is down. */
  send(outgoing: OutgoingNotification): Promise<DeliveryProblem | 'held' | undefined>;
}

/** Thrown inside the breaker only. */
class ReceiverDown extends Error {
  readonly problem: DeliveryProblem;

  constructor(problem: DeliveryProblem) {
    super('the receiver is down');
    this.problem = problem;
  }
}

export function createReceiverBreaker(deps: {
  readonly receiver: NotificationReceiver;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly randomFraction: () => number;
  /** How many tries at the same time. */
  readonly deliveryConcurrency: number;
  readonly onReceiver: (isDown: boolean) => void;
}): ReceiverBreaker {
  const { receiver, clock } = deps;
  const bulwark = createBulwark({
    slots: deps.deliveryConcurrency,
    failures: failuresToBreak,
    firstOpenMs,
    longestOpenMs,
    isOutage: (error) => error instanceof ReceiverDown,
    now: clock.now,
    randomFraction: deps.randomFraction,
    onBreaker: deps.onReceiver,
  });

  async function ask(outgoing: OutgoingNotification): Promise<DeliveryProblem | undefined> {
    const problem = await receiver.send(outgoing);
    if (problem && isDown(problem)) throw new ReceiverDown(problem);
    return problem;
  }

  function heldUntil(): Date | undefined {
    const now = clock.now();
    const standing = bulwark.standing(now);
    if (standing.state === 'open') return standing.until;
    return standing.state === 'probing' ? new Date(now.getTime() + probeMs) : undefined;
  }

  return {
    heldUntil,
    async send(outgoing) {
      if (heldUntil()) return 'held';
      // No more come at the same time than there are slots, so nobody waits for one.
      const entered = await bulwark.enter(
        // The receiver throws nothing: whatever else comes is the breaker's refusal, while another one probes.
        (inBreaker) =>
          inBreaker(() => ask(outgoing)).catch((error: unknown) =>
            error instanceof ReceiverDown ? error.problem : ('held' as const),
          ),
        async () => {},
      );
      return entered ? entered.done : 'held';
    },
  };
}

/** A 4xx may be about this one message. */
function isDown({ problem, status = 0 }: DeliveryProblem): boolean {
  return problem === 'status' ? status >= 500 || status === 429 : problem !== 'gone';
}
