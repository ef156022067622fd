/** The arithmetic of `npm run bench`: who takes turns, what counts, and when a goal is missed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bench } from '../bench/harness/bench.ts';
import { benchmarksDocument } from '../bench/harness/document.ts';
import { measure, median, short } from '../bench/harness/measure.ts';
import { reportOf } from '../bench/harness/report.ts';

const bench: Bench = {
  title: 'Ours against the bare thing.',
  unit: 'ratio to the bare thing',
  goal: 0.5,
  rounds: 3,
  prepare: () => Promise.reject(new Error('not asked here')),
};

/** Two sides with these rates, the first of each for the warm-up. */
function contest(ours: readonly number[], bare: readonly number[]) {
  const order: string[] = [];
  const side = (name: string, rates: readonly number[]) => {
    const left = [...rates];
    const run = async () => {
      order.push(name);
      return left.shift() ?? 0;
    };
    return { name, unit: 'things/s', run };
  };
  return { order, sides: { subject: side('ours', ours), baseline: side('bare', bare), notes: () => ['a note'] } };
}

test('the value is the median of the rounds’ ratios, without the warm-up', async () => {
  const { sides, order } = contest([1, 60, 10, 70], [1, 100, 100, 100]);
  const result = await measure('some', bench, sides, () => {});
  assert.deepEqual(result.ratios, [0.6, 0.1, 0.7]);
  assert.equal(result.value, 0.6);
  assert.equal(result.holds, true);
  assert.deepEqual(order, ['bare', 'ours', 'ours', 'bare', 'bare', 'ours', 'ours', 'bare'], 'they take turns');
});

test('a goal is missed where the median is below it, and every report says so', async () => {
  const { sides } = contest([1, 40, 60, 40], [1, 100, 100, 100]);
  const result = await measure('some', bench, sides, () => {});
  assert.equal(result.holds, false);
  assert.match(reportOf(result), /MISSED: 0\.40 ratio to the bare thing \(0\.40 to 0\.60\), goal 0\.50/);
  const machine = { processor: 'a processor', cores: 2, memoryGb: 8, system: 'linux x64', node: 'v24.0.0' };
  const document = benchmarksDocument([result], machine, new Date('2026-03-01T12:00:00Z'));
  assert.match(document, /\| \[some\]\(#some\) \| 0\.40 ratio to the bare thing \| 0\.50 \| \*\*missed\*\* \|/);
  assert.match(document, /Measured on 2026-03-01: a processor, 2 cores/);
  assert.match(document, /^- a note$/m);
});

test('a side that did nothing is a fault, not a rate', async () => {
  const { sides } = contest([0, 1, 1, 1], [1, 1, 1, 1]);
  await assert.rejects(
    measure('some', bench, sides, () => {}),
    /ours: 0 things\/s is no rate/,
  );
});

test('medians and numbers', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.deepEqual([0.741, 99.9, 1234, 1_234_567].map(short), ['0.74', '99.90', '1 234', '1 234 567']);
});

test('a figure alone has to stay below its goal, and so does what it depends on', async () => {
  const seconds = { ...bench, title: 'Ours alone.', unit: 'seconds', goal: 25 };
  const trial = (values: readonly number[], holds: boolean) => ({
    name: 'work',
    run: async (round: number) => values[round] ?? 0,
    conditions: () => [{ text: 'memory: 1.00, at most 2', holds }],
  });
  const result = await measure('some', seconds, trial([99, 20, 24, 30], true), () => {});
  assert.deepEqual([result.value, result.holds, result.baseline], [24, true, undefined]);
  assert.match(reportOf(result), /holds: 24\.00 seconds \(20\.00 to 30\.00\), goal at most 25\.00/);
  assert.match(reportOf(result), /holds: memory: 1\.00, at most 2/);
  assert.equal((await measure('some', seconds, trial([1, 26, 26, 20], true), () => {})).holds, false);
  const missed = await measure('some', seconds, trial([1, 20, 20, 20], false), () => {});
  assert.equal(missed.holds, false);
  const machine = { processor: 'a processor', cores: 2, memoryGb: 8, system: 'linux x64', node: 'v24.0.0' };
  const document = benchmarksDocument([missed], machine, new Date('2026-03-01T12:00:00Z'));
  assert.match(document, /\| \[some\]\(#some\) \| 20\.00 seconds \| at most 25\.00 \| \*\*missed\*\* \|/);
  assert.match(document, /^- \*\*missed\*\*: memory: 1\.00, at most 2$/m);
});
