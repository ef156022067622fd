/**
 * The broker's configuration: environment variables, read once, in the mains. Secrets are paths of files, except the two
 * conventional connection strings, which are `Secret`s at once.
 */
import type * as z from 'zod';
import { brokerSettings } from './config/broker-settings.ts';
import { cliSettings } from './config/cli-settings.ts';
import { databaseSettings } from './config/database-settings.ts';
import { type Described, describe } from './config/describe.ts';
import { type Environment, load } from './config/load.ts';
import { operatorSettings } from './config/operator-settings.ts';
import { settingsOf } from './config/setting.ts';

/** The configuration of `broker serve`. */
export type Config = z.output<typeof brokerSettings>;

/** The configuration of the commands that act on the database. */
export type DatabaseConfig = z.output<typeof databaseSettings>;

/** The configuration of the admin commands. */
export type CliConfig = z.output<typeof cliSettings>;

/** The configuration of `broker vault …`. */
export type OperatorConfig = z.output<typeof operatorSettings>;

/** Reads the configuration of `broker serve`; throws CONFIG_INVALID with every problem. */
export function loadConfig(environment: Environment): Config {
  return load(brokerSettings, environment, allNames);
}

/** Reads the configuration of the commands that act on the database; throws CONFIG_INVALID with every problem. */
export function loadDatabaseConfig(environment: Environment): DatabaseConfig {
  return load(databaseSettings, environment, allNames);
}

/** Reads the configuration of the admin commands; throws CONFIG_INVALID with every problem. */
export function loadCliConfig(environment: Environment): CliConfig {
  return load(cliSettings, environment, allNames);
}

/** Reads the configuration of `broker vault …`; throws CONFIG_INVALID with every problem. */
export function loadOperatorConfig(environment: Environment): OperatorConfig {
  return load(operatorSettings, environment, allNames);
}

/** Describes every setting, for docs/configuration.md and `broker settings`. */
export function describeConfig(): Described {
  return describe([
    {
      title: 'The broker',
      about:
        'Read by `broker serve`. `broker migrate` needs those of the database and the log only, `broker retention` those of the retention besides, `broker audit prune` both; they read them here.',
      settings: settingsOf(brokerSettings),
    },
    {
      title: 'Setting Vault up',
      about: 'Read by `broker vault …`, which acts with your own Vault login.',
      settings: settingsOf(operatorSettings),
    },
    { title: 'The admin commands', about: 'Read by every other command.', settings: settingsOf(cliSettings) },
  ]);
}

/** One process may have the settings of another beside its own; only names that nobody knows are mistakes. */
const allNames = [brokerSettings, operatorSettings, cliSettings].flatMap((tree) =>
  settingsOf(tree).map(({ env }) => env),
);
