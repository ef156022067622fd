/** `sidecar env`: what a worker's environment has to be. It asks nobody: the settings say it all. */
import { type Command, Option } from 'commander';
import { type LocalConfig, loadLocalConfig } from '../config.ts';
import { workerChange } from '../worker/environment.ts';
import { type Format, formats, writeEnvironment } from '../worker/formats.ts';
import type { CommandContext } from './command-context.ts';
import { CommandError, exitCodes } from './command-error.ts';

export function addEnvCommand(program: Command, { environment, output }: CommandContext): void {
  program
    .command('env')
    .summary('print the environment that a worker needs')
    .description(
      'Prints the environment in which Google’s client libraries find a channel’s token at the sidecar, and nowhere else: eval "$(sidecar env --channel CHANNEL)".',
    )
    .option('-c, --channel <channel>', 'the channel; where only one has a port, that one')
    .addOption(
      new Option('-f, --format <format>', 'how to write it; dotenv cannot take a name away')
        .choices(formats)
        .default('sh'),
    )
    .action(({ channel, format }: { readonly channel?: string; readonly format: Format }) => {
      const config = loadLocalConfig(environment);
      const places = placesOf(config, channel);
      output.text(writeEnvironment(workerChange(places, environment), format));
    });
}

function placesOf({ listen, gceChannels }: LocalConfig, wished: string | undefined) {
  const channel = wished ?? (gceChannels.size === 1 ? [...gceChannels.keys()][0] : undefined);
  if (channel === undefined && gceChannels.size > 1)
    throw new CommandError('a worker’s environment is for one channel, and several have a port', {
      exitCode: exitCodes.usage,
      code: 'CHANNEL_NOT_NAMED',
      hints: [`Name one by --channel: ${[...gceChannels.keys()].join(', ')}.`],
    });
  const port = channel === undefined ? undefined : gceChannels.get(channel);
  if (channel === undefined || port === undefined)
    throw new CommandError(channel === undefined ? 'no channel has a port' : `the channel ${channel} has no port`, {
      exitCode: exitCodes.usage,
      code: 'CHANNEL_WITHOUT_PORT',
      hints: ['Give it one, here and where the sidecar runs: SIDECAR_GCE_CHANNELS=CHANNEL=PORT.'],
    });
  if (port === 0 || listen.port === 0)
    throw new CommandError('a port 0 is chosen when the sidecar starts, so that it cannot be told before', {
      exitCode: exitCodes.usage,
      code: 'PORT_NOT_FIXED',
      hints: ['Give fixed ports in SIDECAR_LISTEN and SIDECAR_GCE_CHANNELS, or start the worker by `sidecar exec`.'],
    });
  return {
    url: `http://${listen.host}:${listen.port}`,
    channel,
    metadataHost: `${listen.host}:${port}`,
    credentialFile: undefined,
  };
}
