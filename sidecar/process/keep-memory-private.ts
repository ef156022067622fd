/**
 * Keeps the memory of this process from being written to a disk, as far as a program without native code can.
 *
 * - Core dumps are off. Node.js cannot change its own limits, so the process is replaced by itself, once, through the
 *   shell's `ulimit`; its id, its standard streams and its environment stay. Programs that it starts inherit the limit.
 * - No diagnostic report quotes the environment.
 *
 * What stays open: root, and whoever may trace the process (the same user, unless the system forbids it), can read it.
 */
import { readFileSync } from 'node:fs';

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
  const limits = coreLimits();
  if (limits === undefined || limits === 'off') return limits === 'off';
  try {
    // It comes back to this place with the limit of 0, or not at all: a shell that cannot set it ends.
    const words = [own.execPath, ...own.execArgv, ...own.argv.slice(1)];
    own.execve?.('/bin/sh', ['sh', '-c', WITHOUT_CORE, ...words], own.env as Record<string, string>);
  } catch {
    // There is no shell, as in the smallest containers.
  }
  return false;
}

/** As Linux tells them; undefined elsewhere, where nobody could see that they are off. */
function coreLimits(): 'off' | 'on' | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return /^Max core file size\s+0\s+0\s/m.test(limits) ? 'off' : 'on';
  } catch {
    return undefined;
  }
}
