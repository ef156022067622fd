/**
 * `sidecar exec`: the sidecar and its worker together. The worker gets the environment in which it finds its tokens, and
 * nothing of the sidecar's own; it is started when it can be served, is never restarted, and its end is the end of both.
 */
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { SidecarError } from '../errors.ts';
import { createLog, type ProcessLog } from '../log.ts';
import type { Sidecar } from '../sidecar.ts';
import { environmentOfWorker, type WorkerPlaces, workerChange } from '../worker/environment.ts';
import { exitCodeOf, passedOn, startWorker, type Worker } from '../worker/worker-process.ts';
import type { CommandContext } from './command-context.ts';
import { asCommandError, CommandError, exitCodes } from './command-error.ts';
import { channelOf, configForWorker, type WorkerWish } from './exec-config.ts';
import { prepareProcess, startHere, stopHere } from './start.ts';

const RETRY_MS = 200;

interface ExecOptions extends WorkerWish {
  readonly wait: number;
  readonly quiet?: true;
}

export function addExecCommand(program: Command, context: CommandContext): void {
  program
    .command('exec')
    .summary('run a worker with a sidecar of its own')
    .description(
      'Starts a sidecar, waits until it can serve, and runs the command with the environment in which it finds its tokens. Standard streams, signals and the exit code are the command’s; the sidecar’s log goes to stderr. Ports that no setting names are free ones, so that many can run side by side.',
    )
    .argument('<command...>', 'the worker, after --')
    .option('-c, --channel <channel>', 'the channel that Google’s libraries find', toChannel)
    .option('--wait <seconds>', 'how long to wait until it can be served', toNumber, 30)
    .option('--uid <uid>', 'run the command as this user, by number; needs root', toNumber)
    .option('--gid <gid>', 'run the command as this group, by number; needs root', toNumber)
    .option('--quiet', 'log only what is wrong; released tokens are then on the broker’s record alone')
    .passThroughOptions()
    .action(async (words: readonly string[], options: ExecOptions) => {
      const log = createLog(2, options.quiet ? 'warn' : 'info');
      const held: { worker?: Worker } = {};
      try {
        prepareProcess(context, log, () => {
          held.worker?.pass('SIGTERM');
          context.own.exit(exitCodes.execFailed);
        });
        context.endWith(await runWorker(context, log, words, options, held));
      } catch (thrown) {
        throw asExecError(thrown);
      }
    });
}

/**
 * Runs the worker from its beginning to its end, and answers what to end with.
 *
 * @param held Is given the worker while it runs.
 */
async function runWorker(
  context: CommandContext,
  log: ProcessLog,
  [command = '', ...args]: readonly string[],
  options: ExecOptions,
  held: { worker?: Worker },
): Promise<number> {
  const { config, remove } = await configForWorker(context.environment, options);
  const channel = channelOf(config, options);
  const early = new AbortController();
  for (const signal of passedOn)
    context.own.on(signal, () => (held.worker ? held.worker.pass(signal) : early.abort(signal)));

  let exitCode: number = exitCodes.execFailed;
  try {
    const sidecar = await startHere(context, config, log, () => held.worker?.pass('SIGTERM'));
    try {
      await untilServing(sidecar, channel, options.wait, early.signal);
      if (early.signal.aborted) exitCode = exitCodeOf({ exitCode: null, signal: early.signal.reason });
      else {
        const change = workerChange(placesOf(sidecar, channel), context.environment);
        const environment = environmentOfWorker(context.environment, change);
        const { uid, gid } = options;
        held.worker = await startWorker({ command, args, environment, uid, gid }).catch((cause) => {
          throw notStarted(command, cause);
        });
        // One that came while it was being started.
        if (early.signal.aborted) held.worker.pass(early.signal.reason);
        exitCode = exitCodeOf(await held.worker.ended);
        log.info({ exitCode }, 'the worker has ended');
      }
    } finally {
      await stopHere(context, sidecar, log, exitCode);
    }
  } finally {
    await remove();
  }
  return exitCode;
}

function placesOf({ url, gceUrls, credentialFiles }: Sidecar, channel: string | undefined): WorkerPlaces {
  const [anyFile] = credentialFiles.values();
  const gceUrl = channel === undefined ? undefined : gceUrls.get(channel);
  return {
    url,
    channel,
    metadataHost: gceUrl === undefined ? undefined : new URL(gceUrl).host,
    credentialFile: channel === undefined ? undefined : credentialFiles.get(channel),
    credentialFolder: anyFile === undefined ? undefined : dirname(anyFile),
  };
}

/**
 * Resolves when the token of the channel is there, or, without one, when tokens could be had; or when it is not wanted any
 * more.
 *
 * @throws SidecarError at once where waiting cannot help. CommandError after so many seconds, with what is in the way.
 */
async function untilServing(
  sidecar: Sidecar,
  channel: string | undefined,
  seconds: number,
  unwanted: AbortSignal,
): Promise<void> {
  for (const end = Date.now() + seconds * 1_000; !unwanted.aborted; await pause(RETRY_MS)) {
    const problem =
      channel === undefined ? undefined : await sidecar.fetchAhead(channel).then(() => undefined, passing);
    const obstacles = await sidecar.health.obstacles();
    if (!problem && (channel !== undefined || obstacles.length === 0)) return;
    if (Date.now() < end) continue;
    const told = problem ?? obstacles[0];
    throw new CommandError(`the worker was not started: tokens could not be had within ${seconds} s`, {
      exitCode: exitCodes.execFailed,
      code: told?.code ?? 'STARTING',
      problems: obstacles.map(({ code, next }) => `${code}: ${next}`),
      hints: ['`sidecar doctor` looks for the reason.'],
    });
  }
}

function passing(error: unknown): SidecarError {
  if (error instanceof SidecarError && !error.permanent) return error;
  throw error;
}

/** Whatever is not the worker's gets a code that workers do not use. */
function asExecError(thrown: unknown): CommandError {
  const { message, exitCode, ...rest } = asCommandError(thrown);
  const isAboutCommand = exitCode === exitCodes.notFound || exitCode === exitCodes.notExecutable;
  const { code, problems, hints } = rest;
  const own = { exitCode: isAboutCommand ? exitCode : exitCodes.execFailed, problems, hints };
  return new CommandError(message, code === undefined ? own : { ...own, code }, thrown);
}

function notStarted(command: string, cause: NodeJS.ErrnoException): CommandError {
  const missing = cause.code === 'ENOENT';
  const forbidden = cause.code === 'EPERM';
  return new CommandError(
    missing ? `there is no command ${command}` : `the command ${command} cannot be run: ${cause.code}`,
    {
      exitCode: missing ? exitCodes.notFound : exitCodes.notExecutable,
      hints: forbidden ? ['--uid and --gid need root.'] : [],
    },
    cause,
  );
}

function toChannel(text: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(text)) throw new InvalidArgumentError('It is a channel’s id, ch_….');
  return text;
}

function toNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is a number.');
  return Number(text);
}
