/** docs/benchmarks.md, written by `npm run bench`: every bench with its rounds, the machine and the date. */
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { BenchResult } from './bench.ts';
import { short } from './measure.ts';
import { barsOf, verdictOf } from './report.ts';

/** What the figures were measured on. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() || process.arch,
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

export function benchmarksDocument(results: readonly BenchResult[], machine: Machine, at: Date): string {
  const { processor, cores, memoryGb, system, node } = machine;
  return `${[
    '# Benchmarks',
    'Written by `npm run bench` and not by hand. Each measures one thing of ours against the bare thing below it, in turns, in the same run, on real servers, ' +
      'or against a figure that it has to stay below; the value is the median of the rounds. `npm run bench -- NAME` runs one. How they are made: [CONTRIBUTING.md](../CONTRIBUTING.md#benchmarks).',
    `Measured on ${at.toISOString().slice(0, 10)}: ${processor}, ${cores} cores, ${memoryGb} GB, ${system}, Node.js ${node}.`,
    ['| bench | value | goal | |', '|---|---|---|---|', ...results.map(summaryRow)].join('\n'),
    ...results.map(sectionOf),
  ].join('\n\n')}\n`;
}

function summaryRow({ bench, value, unit, goal, holds, baseline }: BenchResult): string {
  return `| [${bench}](#${bench}) | ${short(value)} ${unit} | ${baseline ? '' : 'at most '}${short(goal)} | ${holds ? 'holds' : '**missed**'} |`;
}

function sectionOf(result: BenchResult): string {
  const { bench, title, subject, baseline, ratios, conditions, notes } = result;
  const rows = ratios.map((ratio, round) => {
    const sides = baseline ? ` ${short(subject.rounds[round] ?? 0)} | ${short(baseline.rounds[round] ?? 0)} |` : '';
    return `| ${round + 1} |${sides} ${short(ratio)} |`;
  });
  const facts = [...conditions.map(({ text, holds }) => `${holds ? 'holds' : '**missed**'}: ${text}`), ...notes];
  return [
    `## ${bench}`,
    `${title} ${sentence(verdictOf(result))}`,
    `\`\`\`\n${barsOf(result)}\n\`\`\``,
    [
      ...(baseline
        ? [
            `| round | ${subject.name} (${subject.unit}) | ${baseline.name} (${baseline.unit}) | ratio |`,
            '|---|---|---|---|',
          ]
        : [`| round | ${subject.name} (${subject.unit}) |`, '|---|---|']),
      ...rows,
    ].join('\n'),
    ...(facts.length > 0 ? [facts.map((fact) => `- ${fact}`).join('\n')] : []),
  ].join('\n\n');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
