import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServerProcess } from '../../broker/store/embedded/server-process.ts';
import { compiledModules } from './compiled.ts';
import { atEnd, type Scope, useFolder } from './scope.ts';

const brokerMain = join(import.meta.dirname, '../../broker/main.ts');
/** On a busy machine. */
const startsWithinMs = 60_000;
/** Of Linux, always (`getconf CLK_TCK`). */
const ticksPerSecond = 100;

export interface BrokerProcess {
  readonly pid: number;
  readonly operationsPort: number;
  readonly httpPort: number;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the way it ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** Starts `broker serve` as a process of its own; `nodeArgs` go before the program. */
export async function startBrokerProcess(
  scope: Scope,
  environment: Readonly<Record<string, string>>,
  nodeArgs: readonly string[] = [],
): Promise<BrokerProcess> {
  const process_ = startServerProcess({
    name: 'the broker',
    command: process.execPath,
    args: [...nodeArgs, brokerMain, 'serve'],
    env: { ...compiledModules(), ...environment },
    cwd: await useFolder(scope),
    log: () => {},
  });
  atEnd(scope, process_.stop);
  const [line] = await process_.line(/.*"broker serves".*/, startsWithinMs);
  const { http, operations } = JSON.parse(line) as { http: number; operations: number };
  const { pid } = process_;
  if (pid === undefined) throw new Error('the broker has no process id');
  return { ...process_, pid, httpPort: http, operationsPort: operations };
}

/** What a process has used of a core so far, in seconds, and its memory, in MiB (Linux only). */
export function usageOf(pid: number): { readonly cpuSeconds: number; readonly memoryMib: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const memory = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    memoryMib: Number(memory?.[1] ?? 0) / 1024,
  };
}
