/**
 * A setting is a zod type that knows its environment variable. A process describes its configuration as one tree of
 * settings; the tree gives the type, the loader, `--help` and docs/configuration.md.
 */
import * as z from 'zod';

export interface Setting {
  /** The environment variable. */
  readonly env: string;
  /** What it is for: one or more sentences. */
  readonly about: string;
  /** Written as in the environment, so that it goes through the same parser. */
  readonly default?: string;
  /** Shown where there is no default. */
  readonly example?: string;
}

const settings = z.registry<Setting>();

/** Makes a setting of a type that reads a string. */
export function setting<T extends z.ZodType>(
  env: string,
  type: T,
  about: string,
  rest: Pick<Setting, 'default' | 'example'> = {},
): T {
  const own = type.clone();
  settings.add(own, { env, about, ...rest });
  return own;
}

export interface PlacedSetting extends Setting {
  /** Where it is in the tree, for example `['http', 'listen']`. */
  readonly path: readonly string[];
  /** Whether the process starts without it. */
  readonly optional: boolean;
}

/** All settings of a tree, in the order in which they are written. */
export function settingsOf(tree: z.ZodType, path: readonly string[] = []): readonly PlacedSetting[] {
  const own = settings.get(tree);
  if (own) return [{ ...own, path, optional: own.default !== undefined || tree.safeParse(undefined).success }];
  if (!(tree instanceof z.ZodObject)) throw new Error(`${path.join('.')} is not a setting`);
  return Object.entries(tree.shape).flatMap(([name, branch]) => settingsOf(branch as z.ZodType, [...path, name]));
}
