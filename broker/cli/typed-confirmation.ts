/** Has a person type a name before something is destroyed. */
import { createInterface } from 'node:readline';
import { CliError, exitCodes } from './cli-error.ts';
import type { SecretSource } from './secret-input.ts';

/** @param given from the command line, for scripts; without it there has to be a terminal. Throws where it is another. */
export async function requireTyped(name: string, given: string | undefined, source: SecretSource): Promise<void> {
  const typed = given ?? (await ask(name, source));
  if (typed.trim() === name) return;
  throw new CliError('That is not the name. Nothing was changed.', { exitCode: exitCodes.failed });
}

async function ask(name: string, { stdin, stderr }: SecretSource): Promise<string> {
  if (!stdin.isTTY) {
    throw new CliError('Nobody is there to confirm it. Nothing was changed.', {
      exitCode: exitCodes.usage,
      hints: [`In a script, confirm it with --confirm ${name}`],
    });
  }
  const lines = createInterface({ input: stdin, output: stderr, terminal: false });
  const { promise, resolve } = Promise.withResolvers<string>();
  lines.once('line', resolve);
  lines.once('close', () => resolve(''));
  stderr.write(`Type ${name} to go on: `);
  try {
    return await promise;
  } finally {
    lines.close();
  }
}
