import type { TestsStream } from 'node:test';

/** A test that did not run, and why. */
export interface Skipped {
  readonly name: string;
  readonly file: string;
  readonly reason: string;
}

/** What a whole run came to. */
export interface Outcome {
  readonly success: boolean;
  readonly tests: number;
  readonly skipped: readonly Skipped[];
}

/** Follows a run to its end and adds up what matters for the exit code. */
export async function outcomeOf(stream: TestsStream): Promise<Outcome> {
  const skipped: Skipped[] = [];
  let success = false;
  let tests = 0;
  stream.on('test:pass', ({ name, file = '', skip, todo }) => {
    const mark = skip ?? todo;
    if (mark === undefined || mark === false) return;
    skipped.push({ name, file, reason: mark === true || mark === '' ? 'no reason given' : mark });
  });
  stream.on('test:summary', (summary) => {
    // One without a file is the sum of all.
    if (summary.file !== undefined) return;
    success = summary.success;
    tests = summary.counts.tests;
  });
  await new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject));
  return { success, tests, skipped };
}
