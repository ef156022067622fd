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
    ...result.conditions.map(({ text, holds }) => `${holds ? 'holds' : 'MISSED'}: ${text}`),
    ...(result.notes.length > 0 ? ['', ...result.notes.map((note) => `- ${note}`)] : []),
    '',
    verdictOf(result),
    '',
  ].join('\n');
}

/** `holds: 0.62 …, goal 0.50`. */
export function verdictOf({ holds, value, unit, goal, ratios, baseline }: BenchResult): string {
  const spread = `${short(Math.min(...ratios))} to ${short(Math.max(...ratios))}`;
  const most = baseline ? '' : 'at most ';
  return `${holds ? 'holds' : 'MISSED'}: ${short(value)} ${unit} (${spread}), goal ${most}${short(goal)}`;
}

function tableOf({ subject, baseline, ratios, value }: BenchResult): string {
  if (!baseline) {
    const rows = ratios.map((figure, round) => [String(round + 1), short(figure)]);
    const headings = ['round', `${subject.name} (${subject.unit})`];
    return renderTable(headings, [...rows, ['median', short(value)]], process.stdout.columns ?? 120);
  }
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
export function barsOf({ subject, baseline }: Pick<BenchResult, 'subject' | 'baseline'>): string {
  const sides = baseline ? [subject, baseline] : [subject];
  const longest = Math.max(...sides.map(({ median }) => median));
  const names = Math.max(...sides.map(({ name }) => name.length));
  return sides
    .map(({ name, median, rounds, unit }) => {
      const spread = `${short(Math.min(...rounds))} to ${short(Math.max(...rounds))}`;
      return `${name.padEnd(names)}  ${bar(longest > 0 ? median / longest : 0)}  ${short(median)} ${unit} (${spread})`;
    })
    .join('\n');
}

function bar(part: number): string {
  const units = Math.round(part * barWidth * 8);
  return `${'█'.repeat(Math.floor(units / 8))}${eighths[units % 8] ?? ''}`.padEnd(barWidth);
}
