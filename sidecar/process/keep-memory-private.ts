/**
 * Keeps the memory of this process from being written or shown, as far as a program without native code can:
 *
 * - Core dumps are off. Node.js cannot change its own limits, so the process is replaced by itself, once, through the
 *   shell's `ulimit`; its id, its files and its environment stay. Programs that it starts inherit the limit.
 * - SIGUSR1 does not open the inspector.
 * - No diagnostic report quotes the environment.
 *
 * What stays open: root, and whoever may trace the process (the same user, unless the system forbids it), can read it.
 */
import { readFileSync } from 'node:fs';

const WITHOUT_INSPECTOR = '--disable-sigusr1';
const WITHOUT_CORE = 'ulimit -c 0 && exec "$0" "$@"';

/** What `keepMemoryPrivate` needs of `process`. */
export type OwnProcess = Pick<NodeJS.Process, 'execArgv' | 'argv' | 'execPath' | 'env' | 'execve' | 'report'>;

/**
 * Replaces the process where it has to; returns only where nothing is left to do. Call it before anything is opened.
 *
 * @returns Whether core dumps are known to be off.
 */
export function keepMemoryPrivate(own: OwnProcess): boolean {
  own.report.excludeEnv = true;
  if (coresAreOff() && own.execArgv.includes(WITHOUT_INSPECTOR)) return true;
  // Once only: where the limit cannot be read, it has been set all the same.
  if (own.execArgv.includes(WITHOUT_INSPECTOR) || !own.execve) return false;
  const words = [own.execPath, WITHOUT_INSPECTOR, ...own.execArgv, ...own.argv.slice(1)];
  try {
    own.execve('/bin/sh', ['sh', '-c', WITHOUT_CORE, ...words], own.env as Record<string, string>);
  } catch {
    // There is no shell, as in the smallest containers.
  }
  return false;
}

/** Both limits are 0, as Linux tells them; elsewhere nobody knows. */
function coresAreOff(): boolean {
  try {
    return /^Max core file size\s+0\s+0\s/m.test(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return false;
  }
}
