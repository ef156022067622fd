/** What the commands are given. */
import { type Command, Option } from 'commander';
import type { Environment } from '../config.ts';
import type { OwnProcess } from '../process/keep-memory-private.ts';
import type { Output } from './output.ts';

export interface CommandContext {
  readonly environment: Environment;
  readonly output: Output;
  /** The process that the command is; `run` and `exec` take its signals and end it. */
  readonly own: OwnProcess & Pick<NodeJS.Process, 'on' | 'exit' | 'pid'>;
  /** What the command line ends with where all went well: for `exec` the worker's code. */
  endWith(exitCode: number): void;
}

/** The option that `withOutput` adds. */
export interface OutputOption {
  readonly output: 'text' | 'json';
}

/** Adds `-o text|json` to a command. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'text for people, json for scripts').choices(['text', 'json']).default('text'),
  );
}

/** Collects an option that may be given several times. */
export function several(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}
