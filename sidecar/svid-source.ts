/**
 * Keeps the sidecar's certificate fresh. One loop, two states: with a certificate it waits until about half of its
 * life is over; without a new one it tries again, later and later, to the end and past it. The old certificate stays
 * in use until a new one has been verified. Three things wake the loop before its time: a forced rotation, a clock that
 * jumped or a machine that slept, and an authority that is not trusted any more.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { SvidError, verifySvid } from '../identity/svid.ts';
import { IdentityError } from './identity-error.ts';
import { type Log, reasonOf } from './log.ts';
import { retryDelay, rotationTime } from './rotation-schedule.ts';
import type { WorkloadSvid } from './svid-issuer.ts';

const LONGEST_WAIT_MS = 30_000;
const BUNDLE_EVERY_MS = 5 * 60_000;

export interface SvidSource {
  /** The newest certificate, also after it has expired; undefined before the first. */
  current(): WorkloadSvid | undefined;
  /** Why the last attempt brought no certificate; undefined when it did. */
  problem(): IdentityError | undefined;
  /**
   * Makes a new certificate with a new key now, however much is left of the old one, which serves until then. One that
   * was begun before this call does not count; those who ask while they wait share one.
   *
   * @throws IdentityError when it failed; it is then tried again as any other is.
   */
  rotate(): Promise<WorkloadSvid>;
  /**
   * Looks at everything anew, after a sleep of the machine or a jump of its clock: dates, chain and the authorities to
   * trust. What is still good is used on a new connection, because the old one may be dead; what is not is replaced.
   */
  revalidate(): void;
  stop(): Promise<void>;
}

export interface SvidSourceOptions {
  /** Makes one certificate. */
  readonly issue: () => Promise<WorkloadSvid>;
  /** Reads whom to trust, as PEM. */
  readonly readBundle: () => Promise<readonly string[]>;
  /** Told of every new certificate, and of the same one where it is to be used with other authorities or anew. */
  readonly onRotation: (svid: WorkloadSvid) => void;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** Starts the loop. */
export function startSvidSource(options: SvidSourceOptions): SvidSource {
  const { issue, readBundle, onRotation, log, now, random } = options;
  const stopping = new AbortController();
  let current: WorkloadSvid | undefined;
  let problem: IdentityError | undefined;
  let failures = 0;
  let dueAt = 0;
  let bundleAt = 0;
  let asked: PromiseWithResolvers<WorkloadSvid> | undefined;
  let doubted = false;
  let awake = new AbortController();

  const attempt = async () => {
    const waiting = asked;
    asked = undefined;
    try {
      const svid = await issue();
      stopping.signal.throwIfAborted();
      current = svid;
      problem = undefined;
      failures = 0;
      const { spiffeId, serial, notAfter } = svid;
      log.info({ spiffeId: spiffeId.uri, serial, notAfter: notAfter.toISOString() }, 'new certificate');
      onRotation(svid);
      dueAt = rotationTime(now(), notAfter.getTime(), random());
      bundleAt = nextBundle();
      waiting?.resolve(svid);
    } catch (error) {
      problem = asIdentityError(error);
      waiting?.reject(problem);
      stopping.signal.throwIfAborted();
      failures += 1;
      const { code, next } = problem;
      log.warn({ code, reason: reasonOf(error), next }, 'no new certificate');
      const left = (current?.notAfter.getTime() ?? 0) - now();
      dueAt = now() + retryDelay({ failures, random: random(), left, longest: problem.longestWaitMs });
    }
  };

  /** Uses the current certificate with the authorities of this moment; has it replaced where it is not good with them. */
  const look = async (svid: WorkloadSvid, anew: boolean) => {
    bundleAt = nextBundle();
    const bundlePem = await readBundle().catch((error: unknown) => {
      log.warn({ code: asIdentityError(error).code, reason: reasonOf(error) }, 'the authorities could not be read');
      return svid.bundlePem;
    });
    stopping.signal.throwIfAborted();
    const changed =
      bundlePem.length !== svid.bundlePem.length || !bundlePem.every((pem) => svid.bundlePem.includes(pem));
    try {
      verifySvid({ ...svid, bundlePem, now: new Date(now()) });
    } catch (error) {
      if (!(error instanceof SvidError)) throw error;
      log.warn({ reason: reasonOf(error) }, 'the certificate in use is not good any more');
      // With a problem it is being replaced already, at the pace that the failures have earned.
      if (!problem) dueAt = 0;
      return;
    }
    if (anew) dueAt = Math.min(dueAt, rotationTime(now(), svid.notAfter.getTime(), random()));
    if (!changed && !anew) return;
    if (changed) log.info({ authorities: bundlePem.length }, 'other authorities are trusted from now on');
    current = { ...svid, bundlePem };
    onRotation(current);
  };

  const run = async () => {
    for (;;) {
      awake = new AbortController();
      const anew = doubted;
      doubted = false;
      if (current && (anew || now() >= bundleAt)) await look(current, anew);
      if (asked || now() >= dueAt) await attempt();
      else
        await wait(waitFor(current ? Math.min(dueAt, bundleAt) : dueAt), undefined, { signal: awake.signal }).catch(
          () => {},
        );
      stopping.signal.throwIfAborted();
    }
  };
  // The wall clock is compared at least every 30 s, because a timer knows nothing of it.
  const waitFor = (instant: number) => Math.min(Math.max(instant - now(), 0), LONGEST_WAIT_MS);
  const nextBundle = () => now() + BUNDLE_EVERY_MS * (0.9 + 0.2 * random());

  const running = run().catch((error) => {
    if (!stopping.signal.aborted) throw error;
  });

  return {
    current: () => current,
    problem: () => problem,
    rotate() {
      asked ??= Promise.withResolvers();
      awake.abort();
      return asked.promise;
    },
    revalidate() {
      doubted = true;
      failures = 0;
      if (problem) dueAt = 0;
      awake.abort();
    },
    stop() {
      stopping.abort();
      awake.abort();
      asked?.reject(new Error('the sidecar is stopping'));
      return running;
    },
  };
}

function asIdentityError(error: unknown): IdentityError {
  if (error instanceof IdentityError) return error;
  return new IdentityError('ANSWER_NOT_UNDERSTOOD', 'the certificate could not be made', { cause: error });
}
