/** The `broker` command as a process of its own, as people and cron run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { createCli } from '../../broker/cli/cli.ts';
import { compiledModules } from './compiled.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

const main = fileURLToPath(new URL('../../broker/main.ts', import.meta.url));

export interface CommandResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes the environment of somebody with this identity token. */
export async function useIdentity(scope: Scope, brokerUrl: string, identityToken: string): Promise<NodeJS.ProcessEnv> {
  const file = join(await useFolder(scope), 'identity.jwt');
  await writeFile(file, identityToken, { mode: 0o600 });
  return { PATH: process.env.PATH, BROKER_URL: brokerUrl, BROKER_TOKEN_FILE: file };
}

/** Runs a command of the admin API to its end in this process: the same commands, without the seconds that a process takes to start. */
export async function runHere(env: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<CommandResult> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const others = () => Promise.reject(new Error('only commands of the admin API run here'));
  const run = createCli({
    environment: env,
    streams: { stdin: Readable.from([]), stdout, stderr },
    version: 'test',
    processes: {
      serve: others,
      migrate: others,
      retention: { plan: others, run: others },
      prune: { plan: others, run: others },
    },
    vault: {
      plan: others,
      apply: others,
      planLogin: others,
      applyLogin: others,
      addWorkload: others,
      issueCredential: others,
      issueWrappedCredential: others,
      destroyTenantKey: others,
      tenantKeyPath: others,
    },
  });
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

/** Runs a command to its end, as a process. */
export async function runCommand(env: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [main, ...words], {
    env: { ...compiledModules(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { exitCode: child.exitCode, stdout, stderr };
}

export interface RunningCommand {
  /** Its lines so far. */
  readonly lines: readonly string[];
  readonly said: readonly string[];
  /** Ends it as Ctrl-C does; answers its exit code. */
  interrupt(): Promise<number | null>;
  /** Ends it at whatever it is doing. */
  kill(): Promise<void>;
}

/** Starts a command that goes on until it is interrupted; killed at the end of the scope. */
export function startCommand(scope: Scope, env: NodeJS.ProcessEnv, ...words: readonly string[]): RunningCommand {
  const child: ChildProcess = spawn(process.execPath, [main, ...words], {
    env: { ...compiledModules(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  atEnd(scope, () => {
    child.kill('SIGKILL');
    return closed;
  });
  const lines: string[] = [];
  const said: string[] = [];
  if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => said.push(line));
  return {
    lines,
    said,
    async interrupt() {
      child.kill('SIGINT');
      await closed;
      return child.exitCode;
    },
    async kill() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
