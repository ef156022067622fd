/**
 * Owns the terminal. Data goes to stdout and nothing else does; everything that is said goes to stderr: `error:` (what
 * is wrong, with its code), `hint:` (what to do next). Colour is used on a terminal only, and not where NO_COLOR is set
 * (no-color.org). Nothing from elsewhere brings control characters to the terminal.
 */
import type { Writable } from 'node:stream';
import { stripVTControlCharacters, styleText } from 'node:util';
import type { CommandError } from './command-error.ts';

/** Where the command talks. */
export interface Streams {
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

type Style = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';

export interface Output {
  /** Whether people look at stdout, and not a program. */
  readonly isTerminal: boolean;
  json(answer: unknown): void;
  /** Data, as it is. */
  text(text: string): void;
  /** One thing, fact by fact. */
  facts(facts: readonly (readonly [label: string, value: string])[]): void;
  /** A sentence behind a mark: on a terminal its lines are as wide as that and stand below each other. */
  marked(mark: string, style: Style, text: string, indent?: number): void;
  say(text: string): void;
  hint(text: string): void;
  error(error: CommandError): void;
}

export function createOutput({ stdout, stderr }: Streams, noColor: boolean): Output {
  const style = (stream: { readonly isTTY?: boolean }, format: Style, text: string): string =>
    stream.isTTY && !noColor ? styleText(format, text, { validateStream: false }) : text;
  const say = (text: string): void => void stderr.write(`${text}\n`);
  const hint = (text: string): void => say(`${style(stderr, 'cyan', 'hint:')} ${printable(text)}`);

  return {
    isTerminal: stdout.isTTY === true,
    json: (answer) => void stdout.write(`${JSON.stringify(answer, null, 2)}\n`),
    text: (text) => void stdout.write(text),
    facts(facts) {
      const longest = Math.max(...facts.map(([label]) => label.length));
      for (const [label, value] of facts)
        stdout.write(`${style(stdout, 'bold', label.padEnd(longest))}  ${printable(value)}\n`);
    },
    marked(mark, format, text, indent = 0) {
      const margin = ' '.repeat(indent + mark.length + 1);
      const width = stdout.isTTY ? (stdout.columns ?? 80) - margin.length : Number.POSITIVE_INFINITY;
      const lines = folded(printable(text), width).join(`\n${margin}`);
      stdout.write(`${' '.repeat(indent)}${style(stdout, format, mark)} ${lines}\n`);
    },
    say,
    hint,
    error({ message, code, problems, hints }) {
      say(`${style(stderr, 'red', 'error:')} ${printable(message)}${code ? ` [${code}]` : ''}`);
      for (const problem of problems) say(`  - ${printable(problem)}`);
      for (const next of hints) hint(next);
    },
  };
}

/** Lines of words that are no longer than the width, where no word is. */
function folded(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Without what would move a terminal's cursor or change its colours. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, ' ');
}

/** An instant with its time zone, for people. */
export function showInstant(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
