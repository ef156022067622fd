/** The `broker` command. Builds the program, runs it, and says how it ended. commander is imported in this room only. */
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Command, CommanderError } from 'commander';
import type { Environment } from '../config/load.ts';
import { loadCliConfig } from '../config.ts';
import { createApiClient } from './api-client.ts';
import { asCliError, type ExitCode, exitCodes } from './cli-error.ts';
import type { CommandContext, Processes, VaultCommands } from './command-context.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addChannelCommands } from './commands/channel.ts';
import { addNotificationCommands } from './commands/notification.ts';
import { addOAuthClientCommands } from './commands/oauth-client.ts';
import { addReplicaCommands } from './commands/replica.ts';
import { addRetentionCommands } from './commands/retention.ts';
import { addServerCommands } from './commands/server.ts';
import { addTenantCommands } from './commands/tenant.ts';
import { addVaultCommands } from './commands/vault.ts';
import { addWhoamiCommand } from './commands/whoami.ts';
import { addWorkloadCommands } from './commands/workload.ts';
import { findIdentityToken } from './identity-token.ts';
import { createOutput, type Streams } from './output.ts';

export interface CliDeps {
  readonly environment: Environment;
  readonly streams: Streams & { readonly stdin: Readable & { readonly isTTY?: boolean } };
  readonly version: string;
  readonly processes: Processes;
  readonly vault: VaultCommands;
  /** Fires at the first Ctrl-C, which then ends nothing by itself; never, where absent. */
  readonly interrupted?: () => AbortSignal;
}

const description = `Keeps YouTube channel consents alive and hands short-lived access tokens to upload workers.

From an owner's consent to a worker's token:
  broker vault bootstrap
  broker tenant create acme
  broker oauth-client add uploads --client-id ID.apps.googleusercontent.com
  broker channel add north-studio --tenant acme --oauth-client uploads
  broker workload allow spiffe://token-broker.internal/workload/uploader \\
         --channel ID --reason "weekly show"`;

const epilogue = `
You are known by the file in BROKER_TOKEN_FILE, or by your Vault login.
\`broker settings\` lists all settings; \`broker COMMAND --help\` explains one.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not available now.`;

/** Answers a function that runs one command line (without node and script) and answers the exit code; it never throws. */
export function createCli({ environment, streams, version, processes, vault, interrupted }: CliDeps) {
  const output = createOutput(streams, (environment.NO_COLOR ?? '') !== '');
  const context: CommandContext = {
    output,
    secretSource: streams,
    processes,
    vault,
    version,
    interrupted: interrupted ?? (() => new AbortController().signal),
    pause: (ms) => pause(ms),
    api: () => {
      const config = loadCliConfig(environment);
      const identityToken = () => findIdentityToken(config, environment.HOME ?? '');
      return createApiClient(config.brokerUrl, identityToken, config.reason);
    },
  };

  return async (argv: readonly string[]): Promise<ExitCode> => {
    try {
      await program(context, streams, version).parseAsync(argv, { from: 'user' });
      return exitCodes.ok;
    } catch (thrown) {
      // commander has said what is wrong; its --help and --version end this way, too.
      if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
      const error = asCliError(thrown);
      output.error(error);
      return error.exitCode;
    }
  };
}

function program(context: CommandContext, streams: Streams, version: string): Command {
  const broker = new Command('broker')
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
    .showSuggestionAfterError()
    .showHelpAfterError('hint: add --help to see what the command takes')
    .exitOverride()
    .addHelpText('after', epilogue);
  broker.commandsGroup('Run:');
  addServerCommands(broker, context);
  addReplicaCommands(broker, context);
  addRetentionCommands(broker, context);
  broker.commandsGroup('Set up:');
  addVaultCommands(broker, context);
  addTenantCommands(broker, context);
  addOAuthClientCommands(broker, context);
  broker.commandsGroup('Channels and workers:');
  addChannelCommands(broker, context);
  addWorkloadCommands(broker, context);
  addNotificationCommands(broker, context);
  addAuditCommands(broker, context);
  addWhoamiCommand(broker, context);
  for (const command of broker.commands) command.helpCommand(false);
  return broker;
}
