/** Starts whole brokers as processes of their own, which a test may hold at a step of a refresh, pause, and kill. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PracticeGoogle } from '../fake-google/server.ts';
import { type BrokerParts, brokerEnvironment } from './broker.ts';
import { compiledModules } from './compiled.ts';
import type { BrokerCall, BrokerNews } from './held-broker.ts';
import type { RefreshStep } from './refresh-steps.ts';
import { atEnd, type Scope } from './scope.ts';

type Parts = Omit<BrokerParts, 'clock' | 'before'> & { readonly google: PracticeGoogle };

const program = fileURLToPath(new URL('./held-broker.ts', import.meta.url));

/** A machine with a disk: the broker on it may be killed and started again. */
export interface Machine {
  /** Starts it at the present time of the practice Google. It knows later times only when it is told. */
  start(): Promise<HeldBroker>;
  /** The files of refresh tokens in its spool. */
  spooled(): Promise<readonly string[]>;
}

export interface HeldBroker {
  readonly grpcPort: number;
  /** Tells it the present time of the practice Google. */
  tellTime(): Promise<void>;
  /** Refreshes everything that is due at the time that it was told. */
  refreshDue(): Promise<void>;
  /** Has it wait at this step; resolves when a refresh has come there. */
  holdAt(step: RefreshStep): Promise<{ readonly reached: Promise<void> }>;
  goOn(): Promise<void>;
  kill(): Promise<void>;
  /** As an operating system that gives it no time; it hears of nothing until `wake`. */
  pause(): void;
  wake(): void;
}

export async function useMachine(scope: Scope, parts: Parts): Promise<Machine> {
  const environment = await brokerEnvironment(scope, parts);
  const received = join(environment.BROKER_DATA_DIR ?? '', 'received');
  return {
    start: () => start(scope, parts, environment),
    spooled: async () => (await readdir(received)).filter((name) => !name.endsWith('.part')),
  };
}

async function start(scope: Scope, { google }: Parts, environment: Record<string, string>): Promise<HeldBroker> {
  const env = { ...compiledModules(), ...environment, NOW: String(google.now()) };
  const child = fork(program, { env, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  const exited = once(child, 'exit');
  atEnd(scope, async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4_000);
  });

  const calls = new Map<number, (failure?: string) => void>();
  let reached = Promise.withResolvers<void>();
  const serves = Promise.withResolvers<number>();
  child.on('message', (news: BrokerNews) => {
    if (news.news === 'serves') serves.resolve(news.grpcPort);
    else if (news.news === 'reached') reached.resolve();
    else calls.get(news.id)?.(news.failure);
  });
  // Whoever still waits then hears it; a test that has killed it does not.
  void exited.then(() => {
    const gone = new Error(`the broker ended: ${said}`);
    for (const { promise, reject } of [serves, reached]) {
      promise.catch(() => {});
      reject(gone);
    }
    for (const settle of calls.values()) settle(gone.message);
  });

  let ids = 0;
  const call = (asked: BrokerCall) =>
    new Promise<void>((resolve, reject) => {
      ids += 1;
      const id = ids;
      calls.set(id, (failure) => {
        calls.delete(id);
        if (failure === undefined) resolve();
        else reject(new Error(`${asked.call}: ${failure}`));
      });
      child.send({ ...asked, id });
    });

  return {
    grpcPort: await serves.promise,
    tellTime: () => call({ call: 'setClock', to: google.now() }),
    refreshDue: () => call({ call: 'refreshDue' }),
    async holdAt(step) {
      reached = Promise.withResolvers();
      await call({ call: 'holdAt', step });
      return { reached: reached.promise };
    },
    goOn: () => call({ call: 'goOn' }),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    pause: () => void child.kill('SIGSTOP'),
    wake: () => void child.kill('SIGCONT'),
  };
}
