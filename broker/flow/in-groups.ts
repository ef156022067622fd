/**
 * Gathers single asks into groups: while one group is under way, what is asked for meanwhile waits for the next one. So
 * the busier it is, the larger the groups, and a single ask waits for nothing.
 */
export function inGroups<Ask, Answer>({
  work,
  largest,
  mostWaiting,
  full,
}: {
  /** Answers one for each, in their order; where it throws, all of the group hear it. */
  readonly work: (group: readonly Ask[]) => Promise<readonly Answer[]>;
  readonly largest: number;
  /** More than so many are refused, so that a fault below does not fill the memory. */
  readonly mostWaiting: number;
  /** What those hear. */
  readonly full: () => Error;
}): (ask: Ask) => Promise<Answer> {
  interface Waiting extends PromiseWithResolvers<Answer> {
    readonly ask: Ask;
  }
  let waiting: Waiting[] = [];
  let running = false;

  async function run(): Promise<void> {
    running = true;
    // What arrives in the same turn of the event loop goes into the first group, too.
    await new Promise(setImmediate);
    while (waiting.length > 0) {
      const group = waiting.slice(0, largest);
      waiting = waiting.slice(largest);
      try {
        const answers = await work(group.map(({ ask }) => ask));
        for (const [place, { resolve }] of group.entries()) resolve(answers[place] as Answer);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = false;
  }

  return (ask) => {
    if (waiting.length >= mostWaiting) return Promise.reject(full());
    const entry = { ask, ...Promise.withResolvers<Answer>() };
    waiting.push(entry);
    if (!running) void run();
    return entry.promise;
  };
}
