/** Reads a secret: from a file, from stdin, or typed unseen. Never from the command line, where everybody sees it. */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Secret } from '../domain/secret.ts';
import { CliError, exitCodes } from './cli-error.ts';

export interface SecretSource {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stderr: Writable;
}

/** @param file a path, or `-` for stdin; where absent, whoever sits at the terminal is asked. */
export async function readSecret(
  what: string,
  file: string | undefined,
  source: SecretSource,
): Promise<Secret<string>> {
  const value = (await readRaw(what, file, source)).replace(/\r?\n$/, '');
  if (value === '' || /\s/.test(value)) {
    throw new CliError(`The ${what} is empty or has spaces or line ends in it.`, {
      exitCode: exitCodes.failed,
      hints: ['Copy it again, without anything around it.'],
    });
  }
  return new Secret(value);
}

async function readRaw(what: string, file: string | undefined, { stdin, stderr }: SecretSource): Promise<string> {
  if (file === '-') return text(stdin);
  if (file !== undefined) return readSecretFile(file);
  if (stdin.isTTY) return typeUnseen(what, stdin, stderr);
  throw new CliError(`There is no ${what}.`, {
    exitCode: exitCodes.usage,
    hints: ['Give it with --secret-file PATH, or on stdin with --secret-file -'],
  });
}

async function readSecretFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError(`The file cannot be read: ${file}`, { exitCode: exitCodes.failed, cause });
  }
}

async function typeUnseen(what: string, stdin: Readable, stderr: Writable): Promise<string> {
  stderr.write(`${what}: `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  lines.once('line', resolve);
  lines.once('SIGINT', () => reject(new CliError('Stopped.', { exitCode: exitCodes.failed })));
  lines.once('close', () => reject(new CliError(`There is no ${what}.`, { exitCode: exitCodes.failed })));
  try {
    return await promise;
  } finally {
    lines.close();
    stderr.write('\n');
  }
}
