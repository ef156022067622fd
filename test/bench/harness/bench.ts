/** One benchmark: something of ours against the bare thing below it, side by side in the same run. */
import type { Scope } from '../../support/scope.ts';

/** What a file `test/bench/NAME.bench.ts` exports as `bench`; its name is that of the file. */
export interface Bench {
  /** What is measured against what: one sentence, for the head of the table and for docs/benchmarks.md. */
  readonly title: string;
  /** Of the value, which is a ratio because machines differ: `ratio to bare batched inserts`. */
  readonly unit: string;
  /** The least value that is good enough. */
  readonly goal: number;
  /** Rounds that count; one more goes before them, to warm up. */
  readonly rounds: number;
  /** Starts real servers and fills them; what it opens is closed with the scope. `tell` shows a line of progress. */
  prepare(scope: Scope, tell: (line: string) => void): Promise<Contest>;
}

/** The two that are measured in turns. */
export interface Contest {
  readonly subject: Side;
  readonly baseline: Side;
  /** Asked when all rounds are over: what the difference is spent on, and whatever else helps to judge the value. */
  readonly notes?: () => Promise<readonly string[]> | readonly string[];
}

export interface Side {
  /** As in a table: `audited releases`. */
  readonly name: string;
  /** Of what `run` answers, more is better: `records/s`. */
  readonly unit: string;
  /** Does one round's work and answers how much was done in a second. */
  run(): Promise<number>;
}

/** What came out; the last line of the output is this as JSON. */
export interface BenchResult {
  readonly bench: string;
  /** The median of the rounds' ratios. */
  readonly value: number;
  readonly goal: number;
  readonly unit: string;
  readonly holds: boolean;
  readonly title: string;
  /** The ratio of each round. */
  readonly ratios: readonly number[];
  readonly subject: Measured;
  readonly baseline: Measured;
  readonly notes: readonly string[];
}

export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly rounds: readonly number[];
}
