/** Reads a tree of settings from an environment and reports every mistake at once. */
import type * as z from 'zod';
import { BrokerError } from '../errors.ts';
import { nearest } from './nearest.ts';
import { type PlacedSetting, settingsOf } from './setting.ts';

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads a configuration. A value that cannot be read is never replaced by the default, and an empty one is a mistake.
 * Throws CONFIG_INVALID whose `problems` name every mistake in a sentence; no sentence repeats a value, as it may be a
 * secret in the wrong place.
 *
 * @param known names that begin with BROKER_ and belong to another process; all others are mistakes.
 */
export function load<T extends z.ZodType>(
  tree: T,
  environment: Environment,
  known: readonly string[] = [],
): z.output<T> {
  const settings = settingsOf(tree);
  const names = [...settings.map((setting) => setting.env), ...known];
  const problems = [...unknownNames(environment, names), ...emptyValues(environment, settings)];
  const result = tree.safeParse(inputFor(environment, settings));
  if (result.success && problems.length === 0) return result.data;
  for (const issue of result.error?.issues ?? []) {
    const setting = settings.find(({ path }) => path.join('.') === issue.path.join('.'));
    if (setting && environment[setting.env] !== '') problems.push(sentence(setting, issue.message, environment));
  }
  throw new BrokerError('CONFIG_INVALID', { detail: problems.join(' '), problems });
}

function inputFor(environment: Environment, settings: readonly PlacedSetting[]): Readonly<Record<string, unknown>> {
  const root: Branch = {};
  for (const setting of settings) {
    let branch = root;
    for (const step of setting.path.slice(0, -1)) {
      const next = branch[step] ?? {};
      branch[step] = next;
      branch = next as Branch;
    }
    branch[setting.path.at(-1) ?? ''] = environment[setting.env] ?? setting.default;
  }
  return root;
}

interface Branch {
  [name: string]: Branch | string | undefined;
}

function sentence(setting: PlacedSetting, message: string, environment: Environment): string {
  if (environment[setting.env] !== undefined) return `${setting.env} ${message}.`;
  return `${setting.env} is not set. ${setting.about}${setting.example ? ` For example: ${setting.example}` : ''}`;
}

function emptyValues(environment: Environment, settings: readonly PlacedSetting[]): string[] {
  return settings
    .filter(({ env }) => environment[env] === '')
    .map(({ env }) => `${env} is empty: give it a value, or remove it.`);
}

function unknownNames(environment: Environment, names: readonly string[]): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('BROKER_') && !names.includes(name))
    .map((name) => {
      const meant = nearest(name, names);
      return `${name} is not a setting${meant ? `: did you mean ${meant}?` : '.'}`;
    });
}
