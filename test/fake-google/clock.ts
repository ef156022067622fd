/** Tells the time of the practice Google, in milliseconds since the epoch. */
export interface Clock {
  now(): number;
}

/** A clock that a test moves by hand, so that seven days or six months pass without sleeping. */
export interface AdjustableClock extends Clock {
  /** Moves the clock forward by `ms` milliseconds; it keeps running (or standing) as before. */
  advance(ms: number): void;
  /** Sets the clock to `epochMs` and lets it stand there until it is advanced or set again. */
  set(epochMs: number): void;
}

/** Creates a clock that runs with `real` (default: the machine's) until a test sets it. */
export function createAdjustableClock(real: () => number = Date.now): AdjustableClock {
  let offset = 0;
  let standing: number | undefined;
  return {
    now: () => standing ?? real() + offset,
    advance(ms) {
      if (standing === undefined) offset += ms;
      else standing += ms;
    },
    set(epochMs) {
      standing = epochMs;
    },
  };
}

/** One second in milliseconds. */
export const second = 1_000;
/** One minute in milliseconds. */
export const minute = 60 * second;
/** One day in milliseconds. */
export const day = 24 * 60 * minute;
