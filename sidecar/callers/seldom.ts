const MOST_REMEMBERED = 1_000;

/** Says yes to the same thing once in a while, so that who repeats himself does not fill the log. */
export function createSeldom(everyMs: number, now: () => number): (thing: string) => boolean {
  const last = new Map<string, number>();
  return (thing) => {
    const instant = now();
    const before = last.get(thing);
    if (before !== undefined && instant - before < everyMs) return false;
    if (last.size >= MOST_REMEMBERED) last.clear();
    last.set(thing, instant);
    return true;
  };
}
