/** Tables without lines, that fit the terminal. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';

const gap = '  ';
const noLines = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'],
  ].map((part) => [part, '']),
);
const narrowest = 8;

/** @param width columns of the terminal; what is wider is wrapped within its cell. */
export function renderTable(headings: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const table = new Table({
    head: [...headings],
    chars: { ...noLines, middle: gap },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colWidths: [...fit([headings, ...rows], width)],
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  table.push(...rows.map((row) => row.map(printable)));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** The widths that the cells want, the widest cut back until all fit. */
function fit(rows: readonly (readonly string[])[], width: number): readonly number[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => stripVTControlCharacters(row[column] ?? '').length)),
  );
  const room = Math.max(width - gap.length * (columns - 1), columns * narrowest);
  while (widths.reduce((sum, one) => sum + one, 0) > room) {
    const widest = widths.indexOf(Math.max(...widths));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/**
 * Names come from people: no control character of theirs reaches the terminal, nor one that turns the direction of what
 * stands beside it, so that a title cannot look like another column.
 */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu, ' ');
}
