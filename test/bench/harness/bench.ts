/**
 * One benchmark: something of ours against the bare thing below it, side by side in the same run; or, where the goal is in
 * seconds or in parts of a core and there is nothing to compare with, against that figure alone.
 */
import type { Scope } from '../../support/scope.ts';

/** What a file `test/bench/NAME.bench.ts` exports as `bench`; its name is that of the file. */
export interface Bench {
  /** What is measured against what: one sentence, for the head of the table and for docs/benchmarks.md. */
  readonly title: string;
  /** Of the value: `ratio to bare batched inserts`, because machines differ; of a trial `seconds`. */
  readonly unit: string;
  /** The least value that is good enough; of a trial, the greatest. */
  readonly goal: number;
  /** Rounds that count; one more goes before them, to warm up. */
  readonly rounds: number;
  /** Starts real servers and fills them; what it opens is closed with the scope. `tell` shows a line of progress. */
  prepare(scope: Scope, tell: (line: string) => void): Promise<Contest | Trial>;
}

/** The two that are measured in turns. */
export interface Contest {
  readonly subject: Side;
  readonly baseline: Side;
  /** What has to hold besides, asked when all rounds are over. */
  readonly conditions?: () => readonly Condition[];
  /** Asked when all rounds are over: what the difference is spent on, and whatever else helps to judge the value. */
  readonly notes?: () => Promise<readonly string[]> | readonly string[];
}

/** Ours alone, measured against a figure that it has to stay below. */
export interface Trial {
  /** As in a table: `10 000 refreshes`. */
  readonly name: string;
  /** Does one round's work and answers the value, less is better; round 0 is to warm up. */
  run(round: number): Promise<number>;
  /** What has to hold besides, asked when all rounds are over. */
  readonly conditions?: () => readonly Condition[];
  readonly notes?: () => Promise<readonly string[]> | readonly string[];
}

export interface Condition {
  /** `memory with 1,000,000 channels against that with 10,000: 1.04, at most 2`. */
  readonly text: string;
  readonly holds: boolean;
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
  /** The median of the rounds' ratios, or of their values. */
  readonly value: number;
  readonly goal: number;
  readonly unit: string;
  readonly holds: boolean;
  readonly title: string;
  /** The ratio, or the value, of each round. */
  readonly ratios: readonly number[];
  readonly subject: Measured;
  /** Undefined for a trial. */
  readonly baseline: Measured | undefined;
  readonly conditions: readonly Condition[];
  readonly notes: readonly string[];
}

export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly rounds: readonly number[];
}
