/**
 * Owns the terminal. Data goes to stdout and nothing else does; everything that is said goes to stderr: `error:` (what is
 * wrong, with its code), `hint:` (what to do next), `warning:`. For scripts `-o json` prints exactly what the API answers.
 * Colour is used on a terminal only, and not where NO_COLOR is set (no-color.org).
 */
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';
import type { CliError } from './cli-error.ts';
import { printable, renderTable } from './table.ts';

export type OutputFormat = 'table' | 'json';

/** Where the command talks. */
export interface Streams {
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** One fact of a thing that is shown by itself. */
export type Fact = readonly [label: string, value: string | undefined];

export interface Output {
  json(answer: unknown): void;
  /** `empty` is said instead of a table without rows. */
  table(headings: readonly string[], rows: readonly (readonly string[])[], empty: string): void;
  facts(facts: readonly Fact[]): void;
  text(text: string): void;
  /** Writes a line of data; done when there is room for the next one. False where nobody reads any more. */
  line(text: string): Promise<boolean>;
  hint(text: string): void;
  /** Shows how far something long is, in one line of a terminal, and nowhere else; nothing takes it away. */
  progress(text: string | undefined): void;
  say(text: string): void;
  error(error: CliError): void;
}

export function createOutput({ stdout, stderr }: Streams, noColor: boolean): Output {
  const bold = (text: string): string => style(stdout, 'bold', text);
  const say = (text: string): void => void stderr.write(`${text}\n`);

  function style(stream: { readonly isTTY?: boolean }, format: 'bold' | 'red' | 'cyan', text: string): string {
    return stream.isTTY && !noColor ? styleText(format, text, { validateStream: false }) : text;
  }

  return {
    json: (answer) => void stdout.write(`${JSON.stringify(answer, null, 2)}\n`),
    table: (headings, rows, empty) => {
      if (rows.length === 0) return say(empty);
      stdout.write(
        `${renderTable(
          headings.map((heading) => bold(heading.toUpperCase())),
          rows,
          width(stdout),
        )}\n`,
      );
    },
    facts: (facts) => {
      const shown = facts.filter((fact): fact is [string, string] => fact[1] !== undefined);
      const longest = Math.max(...shown.map(([label]) => label.length));
      for (const [label, value] of shown) stdout.write(`${bold(label.padEnd(longest))}  ${printable(value)}\n`);
    },
    text: (text) => void stdout.write(text),
    line: (text) =>
      new Promise((resolve, reject) => {
        stdout.write(`${text}\n`, (error) => {
          if (!error) return resolve(true);
          // Whoever was reading, `head` for example, has read enough.
          return 'code' in error && error.code === 'EPIPE' ? resolve(false) : reject(error);
        });
      }),
    say,
    progress: (text) => {
      if (stderr.isTTY) stderr.write(`\r\u001b[K${text ?? ''}`);
    },
    hint: (text) => say(`${style(stderr, 'cyan', 'hint:')} ${text}`),
    error: ({ message, code, problems, hints }) => {
      say(`${style(stderr, 'red', 'error:')} ${message}${code ? ` [${code}]` : ''}`);
      for (const problem of problems) say(`  - ${problem}`);
      for (const hint of hints) say(`${style(stderr, 'cyan', 'hint:')} ${hint}`);
    },
  };
}

/** A table is made to fit a terminal; a file or a pipe gets all of it. */
function width(stdout: Streams['stdout']): number {
  return stdout.isTTY ? (stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
}

/** An instant with its time zone, for people. */
export function showInstant(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
