/** The ways in which `sidecar env` writes an environment. */
import type { EnvironmentChange } from './environment.ts';

export const formats = ['sh', 'dotenv', 'json'] as const;
export type Format = (typeof formats)[number];

/**
 * Writes a change of an environment: for `eval` in a POSIX shell; as `NAME=value` lines, which cannot take a name away;
 * or as JSON, where `null` takes it away.
 */
export function writeEnvironment(change: EnvironmentChange, format: Format): string {
  const entries = Object.entries(change);
  if (format === 'json') {
    return `${JSON.stringify(Object.fromEntries(entries.map(([name, value]) => [name, value ?? null])), null, 2)}\n`;
  }
  const set = entries.filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (format === 'dotenv') return set.map(([name, value]) => `${name}=${value}\n`).join('');
  const unset = entries.filter(([, value]) => value === undefined).map(([name]) => name);
  return [
    ...set.map(([name, value]) => `export ${name}=${quoted(value)}\n`),
    ...(unset.length > 0 ? [`unset ${unset.join(' ')}\n`] : []),
  ].join('');
}

/** As a word of a POSIX shell that means exactly this text. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
