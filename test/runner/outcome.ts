import type { TestsStream } from 'node:test';

/** Ends the reason of a test that this machine is known to be unable to run. */
export const EXCUSED = ' (TEST_WITHOUT)';

/** A test that did not run, and why. */
export interface Skipped {
  readonly name: string;
  readonly file: string;
  readonly reason: string;
}

/** A test that failed. */
export interface Failed {
  readonly name: string;
  readonly file: string;
}

/** What a whole run came to. */
export interface Outcome {
  readonly success: boolean;
  readonly tests: number;
  readonly failed: readonly Failed[];
  readonly skipped: readonly Skipped[];
}

/** Follows a run to its end and adds up what matters for the exit code. */
export async function outcomeOf(stream: TestsStream): Promise<Outcome> {
  const failed: Failed[] = [];
  const skipped: Skipped[] = [];
  let success = false;
  let tests = 0;
  stream.on('test:pass', ({ name, file = '', skip, todo }) => {
    const mark = skip ?? todo;
    if (mark === undefined || mark === false) return;
    skipped.push({ name, file, reason: mark === true || mark === '' ? 'no reason given' : mark });
  });
  stream.on('test:fail', ({ name, file = '', details: { type } }) => {
    // A suite fails with its tests.
    if (type !== 'suite') failed.push({ name, file });
  });
  stream.on('test:summary', (summary) => {
    // One without a file is the sum of all.
    if (summary.file !== undefined) return;
    success = summary.success;
    tests = summary.counts.tests;
  });
  await new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject));
  return { success, tests, failed, skipped };
}
