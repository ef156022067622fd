/** The worker as a child of `sidecar exec`: same terminal, same standard streams, its signals and its exit code. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** How a process ended: one of the two is there. */
export interface WorkerEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WorkerOrder {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whose process it becomes; the sidecar's own where undefined. Only root can give it away. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

export interface Worker {
  readonly pid: number;
  /** Resolves when it has ended and was waited for; no zombie is left. */
  readonly ended: Promise<WorkerEnd>;
  /** Passes a signal on. */
  pass(signal: NodeJS.Signals): void;
}

/**
 * Signals that are the worker's. The sidecar ends after the worker and not before, so that a worker that winds up its
 * upload still gets tokens. SIGUSR1 is the sidecar's own: it rotates the certificate.
 */
export const passedOn = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const;

/** Those that a terminal sends to every process of the group in its foreground. */
const fromTerminal: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT']);

/**
 * Starts the worker.
 *
 * @throws Error with Node's `code` (`ENOENT`, `EACCES`, `EPERM`…) when it cannot be started.
 */
export function startWorker({ command, args, environment, uid, gid }: WorkerOrder): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: environment,
      stdio: 'inherit',
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    const ended = new Promise<WorkerEnd>((done) => {
      child.once('exit', (exitCode, signal) => done({ exitCode, signal }));
    });
    child.once('error', reject);
    child.once('spawn', () => {
      const pass = (signal: NodeJS.Signals) => {
        if (!(fromTerminal.has(signal) && isInForeground())) child.kill(signal);
      };
      resolve({ pid: child.pid ?? 0, ended, pass });
    });
  });
}

/** What a shell makes of it: the exit code, or 128 and the number of the signal. */
export function exitCodeOf({ exitCode, signal }: WorkerEnd): number {
  return exitCode ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/** Whether a terminal has this process in its foreground, and so sends its own signals to the worker as well. */
function isInForeground(): boolean {
  try {
    // Behind the name of the program, which may hold anything: state, parent, group, session, terminal, its group.
    const [, , group, , , foreground] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return group !== undefined && group === foreground;
  } catch {
    return process.stdin.isTTY === true;
  }
}
