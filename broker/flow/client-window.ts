/**
 * How many refreshes of one OAuth client may run at the same time. Few, until Google answers: each answer makes room for one
 * more, up to `most`. Where no answer has come for a while, be it that nothing was asked or that what was asked hangs, it is
 * few again. So clients that hang together hold few of the slots, also before their breakers know.
 */
export interface ClientWindow {
  /** How many may run now. */
  size(now: Date): number;
  /** Google has answered something, `tookMs` after it was begun. */
  answered(now: Date, tookMs: number): void;
  /** Google has not answered, or not as it should. */
  failed(): void;
}

/** Without an answer for so long it hangs; where it takes its time in answering, for twice that time. */
const shortestPatienceMs = 2_000;

export function createClientWindow({ least, most }: { readonly least: number; readonly most: number }): ClientWindow {
  let room = least;
  let lastAnswer: { readonly at: number; readonly patienceMs: number } | undefined;

  function isHeard(now: Date): boolean {
    return lastAnswer !== undefined && now.getTime() - lastAnswer.at <= lastAnswer.patienceMs;
  }

  return {
    size: (now) => (isHeard(now) ? room : least),
    answered(now, tookMs) {
      room = Math.min(most, (isHeard(now) ? room : least) + 1);
      lastAnswer = { at: now.getTime(), patienceMs: Math.max(shortestPatienceMs, 2 * tookMs) };
    },
    failed() {
      room = Math.max(least, Math.floor(room / 2));
    },
  };
}
