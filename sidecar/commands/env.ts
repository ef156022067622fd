/** `sidecar env`: what a worker's environment has to be. It asks nobody: the settings say it all. */
import { type Command, Option } from 'commander';
import { type LocalConfig, loadLocalConfig } from '../config.ts';
import { credentialFilePath } from '../credential-files.ts';
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
    .option('-c, --channel <channel>', 'the channel; where there is only one, that one')
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

function placesOf({ listen, gceChannels, credentialFiles: files }: LocalConfig, wished: string | undefined) {
  const served = new Set([...gceChannels.keys(), ...files.channels]);
  const channel = wished ?? (served.size === 1 ? [...served][0] : undefined);
  if (channel === undefined && served.size > 1)
    throw new CommandError('a worker’s environment is for one channel, and there are several', {
      exitCode: exitCodes.usage,
      code: 'CHANNEL_NOT_NAMED',
      hints: [`Name one by --channel: ${[...served].join(', ')}.`],
    });
  if (channel === undefined || !served.has(channel))
    throw new CommandError(`Google’s libraries are not served ${channel ? `the channel ${channel}` : 'any channel'}`, {
      exitCode: exitCodes.usage,
      code: 'CHANNEL_NOT_SERVED',
      hints: [
        'Set SIDECAR_GCE_CHANNELS=CHANNEL=PORT or SIDECAR_CREDENTIAL_FILES=CHANNEL, here and where the sidecar runs.',
      ],
    });
  const port = gceChannels.get(channel);
  if (port === 0 || listen.port === 0)
    throw new CommandError('a port 0 is chosen when the sidecar starts, so that it cannot be told before', {
      exitCode: exitCodes.usage,
      code: 'PORT_NOT_FIXED',
      hints: ['Give fixed ports in SIDECAR_LISTEN and SIDECAR_GCE_CHANNELS, or start the worker by `sidecar exec`.'],
    });
  return {
    url: `http://${listen.host}:${listen.port}`,
    channel,
    metadataHost: port === undefined ? undefined : `${listen.host}:${port}`,
    credentialFile: files.channels.includes(channel) ? credentialFilePath(files.folder, channel) : undefined,
    credentialFolder: files.channels.length > 0 ? files.folder : undefined,
  };
}
