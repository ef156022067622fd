/**
 * Keeps the sidecar's certificate fresh. One loop, two states: with a certificate it waits until about half of its
 * life is over; without a new one it tries again, later and later, to the end and past it. The old certificate stays
 * in use until a new one has been verified. Waiting compares the wall clock at least every 30 s, so that a machine
 * that slept, or whose clock jumped, goes on where it should.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { IdentityError } from './identity-error.ts';
import { type Log, reasonOf } from './log.ts';
import type { WorkloadSvid } from './svid-issuer.ts';

const LONGEST_WAIT_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

export interface SvidSource {
  /** The newest certificate, also after it has expired; undefined before the first. */
  current(): WorkloadSvid | undefined;
  /** Why the last attempt brought no certificate; undefined when it did. */
  problem(): IdentityError | undefined;
  stop(): Promise<void>;
}

export interface SvidSourceOptions {
  /** Makes one certificate. */
  readonly issue: () => Promise<WorkloadSvid>;
  /** Told of every new certificate. */
  readonly onRotation: (svid: WorkloadSvid) => void;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** Starts the loop. */
export function startSvidSource({ issue, onRotation, log, now, random }: SvidSourceOptions): SvidSource {
  const stopping = new AbortController();
  let current: WorkloadSvid | undefined;
  let problem: IdentityError | undefined;

  const waitUntil = async (instant: number) => {
    for (let left = instant - now(); left > 0; left = instant - now())
      await wait(Math.min(left, LONGEST_WAIT_MS), undefined, { signal: stopping.signal });
  };

  const run = async () => {
    for (let failures = 0; ; ) {
      try {
        current = await issue();
        problem = undefined;
        failures = 0;
      } catch (error) {
        problem = asIdentityError(error);
        failures += 1;
        const { code, next } = problem;
        log.warn({ code, reason: reasonOf(error), next }, 'no new certificate');
      }
      stopping.signal.throwIfAborted();
      if (problem || !current) {
        await waitUntil(now() + retryDelay(failures, random()));
        continue;
      }
      const { spiffeId, serial, notAfter } = current;
      log.info({ spiffeId: spiffeId.uri, serial, notAfter: notAfter.toISOString() }, 'new certificate');
      onRotation(current);
      await waitUntil(rotationTime(now(), notAfter.getTime(), random()));
    }
  };
  const running = run().catch((error) => {
    if (!stopping.signal.aborted) throw error;
  });

  return {
    current: () => current,
    problem: () => problem,
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

/** When to rotate a certificate received at `from`: after half of its life, give or take a tenth of that. */
export function rotationTime(from: number, notAfter: number, random: number): number {
  const half = (notAfter - from) / 2;
  return Math.round(from + half * (0.9 + 0.2 * random));
}

/** How long to wait after so many failures in a row: doubling from a second to a minute, of which half is chance. */
export function retryDelay(failures: number, random: number): number {
  const longest = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
  return longest * (0.5 + 0.5 * random);
}

function asIdentityError(error: unknown): IdentityError {
  if (error instanceof IdentityError) return error;
  return new IdentityError('ANSWER_NOT_UNDERSTOOD', 'the certificate could not be made', { cause: error });
}
