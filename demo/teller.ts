/** Tells the story on the terminal: numbered steps in plain words, commands as a person would type them, and how long it took. */
import { styleText } from 'node:util';

export interface Teller {
  /** Begins a step, says what happens, and answers with what the step answers; a failure is told by the caller. */
  step<T>(title: string, act: () => Promise<T>): Promise<T>;
  /** A line of explanation inside a step. */
  say(text: string): void;
  /** A command that could be typed. */
  command(text: string): void;
  /** Output of a command, or a value worth seeing. */
  quote(text: string): void;
  heading(text: string): void;
}

export function createTeller(out: { write(text: string): void; readonly isTTY?: boolean }, noColor: boolean): Teller {
  const colour = out.isTTY === true && !noColor;
  const style = (format: 'bold' | 'dim' | 'cyan', text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  let number = 0;

  return {
    async step(title, act) {
      number += 1;
      out.write(`\n${style('bold', `${String(number).padStart(2)}  ${title}`)}\n`);
      const begun = performance.now();
      const result = await act();
      out.write(`    ${style('dim', `${((performance.now() - begun) / 1000).toFixed(1)} s`)}\n`);
      return result;
    },
    say: (text) => {
      for (const line of wrapped(text)) out.write(`    ${line}\n`);
    },
    command: (text) => {
      const [first = '', ...rest] = wrapped(text, argument);
      const lines = [`    $ ${first}`, ...rest.map((line) => `        ${line}`)];
      // A backslash, so that it can be copied as it stands.
      out.write(`${style('cyan', lines.join(' \\\n'))}\n`);
    },
    quote: (text) => {
      for (const line of text.trimEnd().split('\n')) out.write(`      ${style('dim', line)}\n`);
    },
    heading: (text) => out.write(`\n${style('bold', text)}\n`),
  };
}

/** A word of a command; an option and its value stay together. */
const argument = /--?[\w-]+ (?:'[^']*'|-(?!\S)|[^\s-]\S*)|'[^']*'|\S+/g;

/** With the indentation and a backslash, 80 columns. */
const lineLength = 72;

/** Breaks a text between words; what is longer than a line stays whole. */
function wrapped(text: string, words = /\S+/g): readonly string[] {
  const lines = [''];
  for (const [word] of text.matchAll(words)) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + word.length >= lineLength) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
