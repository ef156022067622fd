/** Compares clocks. A certificate of Vault's begins 30 s before it is made: a clock that is further behind refuses it. */
import { type Finding, trap } from './finding.ts';

const MOST_MS = 30_000;
/** A clock that is told in whole seconds, and the way of the answer. */
const UNCERTAIN_MS = 2_000;

/** Tells a clock that is too far from ours; nothing where it is near enough, or where nobody told the time. */
export function examineClock(whose: string, theirs: number, ours: number): readonly Finding[] {
  const ahead = ours - theirs;
  if (!Number.isFinite(theirs) || Math.abs(ahead) <= MOST_MS + UNCERTAIN_MS) return [];
  const seconds = Math.round(Math.abs(ahead) / 1_000);
  return [trap('CLOCK_DIFFERS', `It is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} ${whose}’s.`)];
}
