/**
 * Notices that time did something else than pass: the machine slept, or its clock was set. The wall clock is compared
 * with one that cannot be set and stands still in a sleep; where they part, all that was decided by dates is in doubt.
 */

const LOOK_EVERY_MS = 1_000;
/** Above what a clock is moved by while it is kept right, below what matters to a certificate. */
const TOLERATED_MS = 2_000;

export interface ClockWatchOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds since any moment, by a clock that only goes on. */
  readonly steady: () => number;
  /** Told by how many milliseconds the wall clock has jumped; less than zero is back. */
  readonly onJump: (ms: number) => void;
}

/** Starts to look, once a second. */
export function startClockWatch({ now, steady, onJump }: ClockWatchOptions): { stop(): void } {
  let offset = now() - steady();
  const timer = setInterval(() => {
    const jump = now() - steady() - offset;
    if (Math.abs(jump) < TOLERATED_MS) return;
    offset += jump;
    onJump(jump);
  }, LOOK_EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
