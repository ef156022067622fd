/** What a command ends with when it cannot do what it was asked. */
import { ConfigError } from '../config.ts';
import { SidecarError } from '../errors.ts';

/** Scripts may rely on them. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  /** Of `sidecar exec`, as env(1) has them: its own failure, a command that cannot be run, one that is not there. */
  execFailed: 125,
  notExecutable: 126,
  notFound: 127,
} as const;

export interface CommandErrorOptions {
  readonly exitCode: number;
  /** Stable. */
  readonly code?: string;
  /** What is wrong with what, line by line. */
  readonly problems?: readonly string[];
  /** What to do next. */
  readonly hints?: readonly string[];
}

/** An error as the terminal shows it. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  readonly code: string | undefined;
  readonly problems: readonly string[];
  readonly hints: readonly string[];

  constructor(sentence: string, { exitCode, code, problems = [], hints = [] }: CommandErrorOptions, cause?: unknown) {
    super(sentence, { cause });
    this.exitCode = exitCode;
    this.code = code;
    this.problems = problems;
    this.hints = hints;
  }
}

/** Turns anything thrown into what the terminal shows. What nobody foresaw keeps its message, without a stack. */
export function asCommandError(thrown: unknown): CommandError {
  if (thrown instanceof CommandError) return thrown;
  if (thrown instanceof ConfigError)
    return new CommandError('the settings are not right', {
      exitCode: exitCodes.usage,
      code: 'CONFIG_INVALID',
      problems: thrown.problems,
      hints: ['Settings are environment variables; docs/sidecar.md lists them.'],
    });
  if (thrown instanceof SidecarError)
    return new CommandError(thrown.sentence, {
      exitCode: thrown.permanent ? exitCodes.failed : exitCodes.unavailable,
      code: thrown.code,
      hints: thrown.next === undefined ? [] : [thrown.next],
    });
  return new CommandError(
    thrown instanceof Error ? thrown.message : String(thrown),
    { exitCode: exitCodes.failed },
    thrown,
  );
}
