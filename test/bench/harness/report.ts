/** What came out of one bench, for people: a table, bars, and a sentence that says whether it holds. */
import { renderTable } from '../../../broker/cli/table.ts';
import type { BenchResult } from './bench.ts';
import { short } from './measure.ts';

const barWidth = 40;
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

export function reportOf(result: BenchResult): string {
  return [
    `${result.bench}: ${result.title}`,
    '',
    tableOf(result),
    '',
    barsOf(result),
    ...(result.notes.length > 0 ? ['', ...result.notes.map((note) => `- ${note}`)] : []),
    '',
    verdictOf(result),
    '',
  ].join('\n');
}

/** `holds: 0.62 …, goal 0.50`. */
export function verdictOf({ holds, value, unit, goal, ratios }: BenchResult): string {
  const spread = `${short(Math.min(...ratios))} to ${short(Math.max(...ratios))}`;
  return `${holds ? 'holds' : 'MISSED'}: ${short(value)} ${unit} (${spread}), goal ${short(goal)}`;
}

function tableOf({ subject, baseline, ratios, value }: BenchResult): string {
  const rows = ratios.map((ratio, round) => [
    String(round + 1),
    short(subject.rounds[round] ?? 0),
    short(baseline.rounds[round] ?? 0),
    short(ratio),
  ]);
  const headings = ['round', `${subject.name} (${subject.unit})`, `${baseline.name} (${baseline.unit})`, 'ratio'];
  return renderTable(
    headings,
    [...rows, ['median', short(subject.median), short(baseline.median), short(value)]],
    process.stdout.columns ?? 120,
  );
}

/** The two medians as bars, the longer one of full width; with the slowest and the fastest round behind. */
export function barsOf({ subject, baseline }: BenchResult): string {
  const longest = Math.max(subject.median, baseline.median);
  const names = Math.max(subject.name.length, baseline.name.length);
  return [subject, baseline]
    .map(({ name, median, rounds, unit }) => {
      const spread = `${short(Math.min(...rounds))} to ${short(Math.max(...rounds))}`;
      return `${name.padEnd(names)}  ${bar(median / longest)}  ${short(median)} ${unit} (${spread})`;
    })
    .join('\n');
}

function bar(part: number): string {
  const units = Math.round(part * barWidth * 8);
  return `${'█'.repeat(Math.floor(units / 8))}${eighths[units % 8] ?? ''}`.padEnd(barWidth);
}
