/** The `sidecar` command. Builds the program, runs it, and says how it ended. commander is imported in this room only. */
import { Command, CommanderError } from 'commander';
import type { Environment } from '../config.ts';
import { addAdminCommands } from './admin.ts';
import type { CommandContext } from './command-context.ts';
import { asCommandError, exitCodes } from './command-error.ts';
import { addDoctorCommand } from './doctor.ts';
import { addEnvCommand } from './env.ts';
import { addExecCommand } from './exec.ts';
import { createOutput, type Streams } from './output.ts';
import { addRunCommand } from './run.ts';
import { addTokenCommand } from './token.ts';

export interface CliDeps {
  readonly environment: Environment;
  readonly streams: Streams;
  readonly version: string;
  readonly own: CommandContext['own'];
}

const description = `Serves YouTube access tokens to the upload workers on this machine.

A worker with the sidecar beside it, and the sidecar as a process of its own:
  sidecar exec --channel CHANNEL -- python3 upload.py
  sidecar run`;

const epilogue = `
Settings are environment variables; docs/sidecar.md lists them.
\`sidecar COMMAND --help\` explains one command.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings, 3 not
available now. \`exec\` ends with the worker's code, 128 + N where signal N ended
it, 125 where the sidecar failed, 126 or 127 where there is no such command.`;

/** Answers a function that runs one command line (without node and script) and answers the exit code; it never throws. */
export function createCli({ environment, streams, version, own }: CliDeps) {
  const output = createOutput(streams, (environment.NO_COLOR ?? '') !== '');

  return async (argv: readonly string[]): Promise<number> => {
    let exitCode: number = exitCodes.ok;
    const context: CommandContext = {
      environment,
      output,
      own,
      endWith(code) {
        exitCode = code;
      },
    };
    try {
      await program(context, streams, version).parseAsync(argv, { from: 'user' });
      return exitCode;
    } catch (thrown) {
      // commander has said what is wrong; its --help and --version end this way, too.
      if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
      const error = asCommandError(thrown);
      output.error(error);
      return error.exitCode;
    }
  };
}

function program(context: CommandContext, streams: Streams, version: string): Command {
  const sidecar = new Command('sidecar')
    .description(description)
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'explain a command')
    .helpCommand(false)
    .configureHelp({ helpWidth: 80 })
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
      getOutHelpWidth: () => 80,
      getErrHelpWidth: () => 80,
    })
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('hint: add --help to see what the command takes')
    .exitOverride()
    .addHelpText('after', epilogue);
  addRunCommand(sidecar, context);
  addExecCommand(sidecar, context);
  addEnvCommand(sidecar, context);
  addTokenCommand(sidecar, context);
  addDoctorCommand(sidecar, context);
  addAdminCommands(sidecar, context);
  return sidecar;
}
