import type { Clock } from '../ports.ts';

/** Less than this is a clock being steered. */
export const leastJumpMs = 2_000;

/**
 * Compares the clock on the wall with one that only counts on, which stands still while the machine is suspended. Each
 * call answers by how many milliseconds the wall clock has jumped since the last one: forward after a suspension,
 * backward where a wrong clock was set right; 0 where that is little.
 */
export function createClockJump(deps: { readonly wall: Clock; readonly monotonicMs: () => number }): () => number {
  const distance = () => deps.wall.now().getTime() - deps.monotonicMs();
  let last = distance();
  return () => {
    const now = distance();
    const jump = now - last;
    last = now;
    return Math.abs(jump) >= leastJumpMs ? jump : 0;
  };
}
