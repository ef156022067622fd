import { BrokerError } from '../errors.ts';

/** What the process ends with; scripts may rely on them. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, unavailable: 3 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export interface CliErrorOptions {
  readonly exitCode: ExitCode;
  /** Stable; that of the API where the API has answered. */
  readonly code?: string;
  /** What is wrong with what, line by line. */
  readonly problems?: readonly string[];
  /** What to do next. */
  readonly hints?: readonly string[];
  readonly cause?: unknown;
}

/** An error as the terminal shows it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  readonly code: string | undefined;
  readonly problems: readonly string[];
  readonly hints: readonly string[];

  constructor(sentence: string, options: CliErrorOptions) {
    super(sentence, { cause: options.cause });
    this.exitCode = options.exitCode;
    this.code = options.code;
    this.problems = options.problems ?? [];
    this.hints = options.hints ?? [];
  }
}

/** Turns anything thrown into what the terminal shows. What nobody foresaw keeps its message, without a stack. */
export function asCliError(thrown: unknown): CliError {
  if (thrown instanceof CliError) return thrown;
  if (thrown instanceof BrokerError) {
    const { code, row, problems, detail } = thrown;
    return new CliError(row.sentence, {
      exitCode: row.retry && row.http === 503 ? exitCodes.unavailable : exitCodes.failed,
      code,
      // Who runs the command is the operator: the detail is for them.
      problems: problems.length > 0 || !detail ? problems : [detail],
      hints: [row.next],
      cause: thrown,
    });
  }
  return new CliError(thrown instanceof Error ? thrown.message : String(thrown), {
    exitCode: exitCodes.failed,
    cause: thrown,
  });
}
