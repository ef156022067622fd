/**
 * The sidecar's configuration: environment variables, read once, in `main.ts`; each room of `settings/` has its own.
 * Secrets are paths of files. Every problem is reported at once; a name that begins with `SIDECAR_` and is not known is
 * a problem, and a value that is malformed is never replaced by its default.
 */
import * as z from 'zod';
import { type CallersConfig, callersOf, callersSettings } from './settings/callers.ts';
import { type IdentityConfig, identityOf, identitySettings } from './settings/identity.ts';
import { type LocalFilesConfig, localFilesOf, localFilesSettings } from './settings/local-files.ts';
import { type OperationsConfig, operationsOf, operationsSettings } from './settings/operations.ts';
import { type ServingConfig, servingOf, servingSettings } from './settings/serving.ts';
import { loginConflicts } from './settings/vault-login.ts';

/** The environment of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface SidecarConfig
  extends IdentityConfig,
    ServingConfig,
    LocalFilesConfig,
    CallersConfig,
    OperationsConfig {}

/** All that is wrong with the settings, one sentence each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/** Every setting, with what it is for: the source of the documentation too. */
export const settings = z.strictObject({
  ...identitySettings.shape,
  ...servingSettings.shape,
  ...localFilesSettings.shape,
  ...callersSettings.shape,
  ...operationsSettings.shape,
});

/** Reads the configuration; throws ConfigError with every problem. */
export function loadConfig(environment: Environment): SidecarConfig {
  const ours = Object.entries(environment).filter(([name]) => name.startsWith('SIDECAR_') || name in settings.shape);
  const parsed = settings.safeParse(Object.fromEntries(ours));
  const problems: string[] = [...(parsed.error?.issues.flatMap(sentences) ?? []), ...loginConflicts(environment)];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  const set = parsed.data;
  const problem = (sentence: string) => void problems.push(sentence);
  const config = {
    ...identityOf(set, problem),
    ...servingOf(set),
    ...localFilesOf(set),
    ...callersOf(set),
    ...operationsOf(set),
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Settings of what is on this machine; none of them opens anything. */
const localSettings = z.strictObject({
  ...servingSettings.shape,
  ...localFilesSettings.shape,
  ...operationsSettings.shape,
});

export interface LocalConfig extends ServingConfig, LocalFilesConfig, OperationsConfig {}

/**
 * Reads the settings of what is on this machine and no others: for commands beside a running sidecar, whose user has not
 * its logins. Throws ConfigError with every problem of these.
 */
export function loadLocalConfig(environment: Environment): LocalConfig {
  const ours = Object.entries(environment).filter(([name]) => name in localSettings.shape);
  const parsed = localSettings.safeParse(Object.fromEntries(ours));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(sentences));
  return { ...servingOf(parsed.data), ...localFilesOf(parsed.data), ...operationsOf(parsed.data) };
}

function sentences(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((name) => `${name} is not a setting of the sidecar`);
  const name = issue.path.join('.');
  if (issue.code === 'invalid_type') return [`${name} is not set`];
  return [`${name} ${issue.message}`];
}
