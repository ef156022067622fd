/** The `sidecar` command: in this process for what only asks and prints, as a process of its own for what serves. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createCli } from '../../sidecar/commands/cli.ts';
import { atEnd, type Scope } from './scope.ts';
import { sidecarMain } from './sidecar.ts';

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ENDS_WITHIN_MS = 15_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs a command that only asks and prints to its end, in this process. */
export function runSidecarHere(environment: Environment, ...words: readonly string[]): Promise<CommandResult> {
  return runOn(false, environment, words);
}

/** The same, as it looks on a terminal. */
export function runSidecarOnTerminal(environment: Environment, ...words: readonly string[]): Promise<CommandResult> {
  return runOn(true, environment, words);
}

async function runOn(isTTY: boolean, environment: Environment, words: readonly string[]): Promise<CommandResult> {
  const stdout = Object.assign(new PassThrough(), { isTTY });
  const stderr = Object.assign(new PassThrough(), { isTTY });
  const own = { ...process, execArgv: [], on: () => process, exit: () => process.exit() } as unknown as NodeJS.Process;
  const run = createCli({ environment, streams: { stdout, stderr }, version: 'test', own });
  const [shown, said, exitCode] = await Promise.all([
    text(stdout),
    text(stderr),
    run(words).finally(() => {
      stdout.end();
      stderr.end();
    }),
  ]);
  return { exitCode, stdout: shown, stderr: said };
}

export interface ProcessOptions {
  readonly cwd?: string;
  /** Options of Node.js. */
  readonly nodeOptions?: readonly string[];
  /** A command that becomes the one that follows it. */
  readonly through?: readonly string[];
}

export interface SidecarProcess {
  readonly child: ChildProcess;
  /** The lines of stdout and of stderr so far. */
  readonly lines: readonly string[];
  readonly said: readonly string[];
  /** Resolves with the facts of the line of the log that names the addresses. */
  readonly listening: Promise<Record<string, string>>;
  /** How it ended: exit code and signal. */
  readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
}

/** Starts the command as a process with this environment and nothing of ours; it is ended with the scope. */
export function startSidecarProcess(
  scope: Scope,
  environment: Environment,
  words: readonly string[],
  options: ProcessOptions = {},
): SidecarProcess {
  const { through = [], nodeOptions = [] } = options;
  const [command = '', ...args] = [...through, process.execPath, ...nodeOptions, sidecarMain, ...words];
  const child = spawn(command, args, {
    env: environment as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const exited = once(child, 'exit');
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  atEnd(scope, async () => {
    // A worker would outlive a sidecar that is killed.
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), ENDS_WITHIN_MS);
    await exited;
    clearTimeout(impatience);
  });
  const lines: string[] = [];
  const said: string[] = [];
  const { promise: listening, resolve } = Promise.withResolvers<Record<string, string>>();
  const follow = (stream: NodeJS.ReadableStream | null, into: string[]) => {
    if (!stream) return;
    createInterface({ input: stream }).on('line', (line) => {
      into.push(line);
      if (line.includes('"the sidecar is listening"')) resolve(JSON.parse(line));
    });
  };
  follow(child.stdout, lines);
  follow(child.stderr, said);
  return { child, lines, said, listening, ended };
}
