/** What `run` and `exec` begin with: a process that keeps its memory to itself, and a sidecar in it. */
import { ConfigError, type SidecarConfig } from '../config.ts';
import type { Log, ProcessLog } from '../log.ts';
import { onCrash } from '../process/crash.ts';
import { keepMemoryPrivate } from '../process/keep-memory-private.ts';
import { inspectorIsOpen } from '../process/no-inspector.ts';
import { refusedOptions } from '../process/refused-options.ts';
import type { Sidecar } from '../sidecar.ts';
import type { CommandContext } from './command-context.ts';

/** Longer than a drain takes; what hangs after that is a request to Vault at most, and is left behind. */
const STOP_WITHIN_MS = 9_000;

/**
 * Prepares the process: it may be replaced by itself here, once, so nothing may be open yet.
 *
 * @param onCrashed Ends the process, after an error that nobody foresaw.
 * @throws ConfigError when Node.js was started with options that show its memory.
 */
export function prepareProcess({ own, environment }: CommandContext, log: Log, onCrashed: () => void): void {
  const problems = [...refusedOptions(own.execArgv, environment)];
  if (inspectorIsOpen()) problems.push('the inspector of Node.js is open, which shows everything in memory');
  if (problems.length > 0) throw new ConfigError(problems);
  if (!keepMemoryPrivate(own)) {
    const next = 'Start it with `ulimit -c 0`, or give the container a core limit of 0.';
    log.warn({ next }, 'core dumps could not be switched off by the sidecar');
  }
  onCrash(own, log, onCrashed);
}

/** Starts the sidecar and has SIGUSR1 rotate its certificate. `quit` is called when an admin wants it to stop. */
export async function startHere(
  { own }: CommandContext,
  config: SidecarConfig,
  log: ProcessLog,
  quit: () => void,
): Promise<Sidecar> {
  // Loaded here: the commands beside a running sidecar need nothing of it.
  const { startSidecar } = await import('../sidecar.ts');
  const sidecar = await startSidecar(config, { log, writeReleases: log.lines, quit });
  own.on('SIGUSR1', () => {
    log.info({ signal: 'SIGUSR1' }, 'a new certificate is made because somebody asks for it');
    // Why it fails is in the log already.
    void sidecar.rotate().catch(() => undefined);
  });
  const { url, operationsUrl, gceUrls } = sidecar;
  log.info({ url, operationsUrl, ...Object.fromEntries(gceUrls) }, 'the sidecar is listening');
  return sidecar;
}

/** Stops it, within a set time. The process ends when nothing is open any more, and then at the latest. */
export async function stopHere({ own }: CommandContext, sidecar: Sidecar, log: Log, exitCode: number): Promise<void> {
  setTimeout(() => {
    log.warn({}, 'the sidecar did not end by itself in time');
    own.exit(exitCode);
  }, STOP_WITHIN_MS).unref();
  await sidecar.stop();
}
