const baseMs = 250;
const capMs = 10_000;
const floorMs = 25;

/**
 * How long to wait before the next try, in milliseconds: full jitter over a doubling span, at most ten seconds and
 * never nothing. `failures` counts from 1; `random` answers 0 to 1.
 */
export function backOff(failures: number, random: () => number): number {
  return floorMs + random() * (Math.min(capMs, baseMs * 2 ** (failures - 1)) - floorMs);
}

/** Waits; rejects when the signal is aborted. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;
