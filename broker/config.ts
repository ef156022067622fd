/**
 * The broker's configuration: environment variables, read once, in the mains. Secrets are paths of files, except the two
 * conventional connection strings, which are `Secret`s at once.
 */
import type * as z from 'zod';
import { brokerSettings } from './config/broker-settings.ts';
import { cliSettings } from './config/cli-settings.ts';
import { type Described, describe } from './config/describe.ts';
import { type Environment, load } from './config/load.ts';
import { settingsOf } from './config/setting.ts';

/** The configuration of `broker serve`. */
export type Config = z.output<typeof brokerSettings>;

/** The configuration of the admin commands. */
export type CliConfig = z.output<typeof cliSettings>;

/** Reads the configuration of `broker serve`; throws CONFIG_INVALID with every problem. */
export function loadConfig(environment: Environment): Config {
  return load(brokerSettings, environment, namesOf(cliSettings));
}

/** Reads the configuration of the admin commands; throws CONFIG_INVALID with every problem. */
export function loadCliConfig(environment: Environment): CliConfig {
  return load(cliSettings, environment, namesOf(brokerSettings));
}

/** Describes every setting, for docs/configuration.md and `broker settings`. */
export function describeConfig(): Described {
  return describe([
    {
      title: 'The broker',
      about: 'Read by `broker serve` and `broker migrate`.',
      settings: settingsOf(brokerSettings),
    },
    { title: 'The admin commands', about: 'Read by every other command.', settings: settingsOf(cliSettings) },
  ]);
}

function namesOf(tree: z.ZodType): readonly string[] {
  return settingsOf(tree).map(({ env }) => env);
}
