import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endWithParent } from './end-with-parent.ts';

const REMEMBERED_LINES = 200;
const QUOTED_LINES = 8;

/** What to run as a server, and as whom. */
export interface ServerProgram {
  /** As people know it; begins the error messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment; nothing of ours is inherited. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string | undefined;
  /** Another account to run as; needs root. */
  readonly account?: { readonly uid: number; readonly gid: number } | undefined;
  /** What tells it to end in good order; SIGTERM where not given. */
  readonly stopSignal?: NodeJS.Signals;
  /** Milliseconds until it is made to end; 10 000 where not given. */
  readonly stopWithin?: number;
  /** Receives each line that it writes, from either stream. */
  readonly log: (line: string) => void;
}

/** A server program that was started; it ends with this process at the latest. */
export interface ServerProcess {
  readonly pid: number | undefined;
  /** Resolves with the way it ended ("exit code 1", "SIGKILL") and never rejects. */
  readonly ended: Promise<string>;
  /**
   * Waits for a line that matches, also one already written.
   * Rejects when the program ends first or `within` milliseconds have passed, quoting its last lines.
   */
  line(pattern: RegExp, within: number): Promise<RegExpMatchArray>;
  signal(signal: NodeJS.Signals): void;
  /** Ends it in good order, or by force after `stopWithin`. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts a server program in a process group of its own, so that Ctrl-C reaches us and we end it in our order. */
export function startServerProcess(program: ServerProgram): ServerProcess {
  const { name, command, args, env, cwd, account, stopSignal = 'SIGTERM', stopWithin = 10_000, log } = program;
  const child = spawn(command, args, { env, cwd, ...account, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  endWithParent(child, stopSignal);

  const lines: string[] = [];
  const readers = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > REMEMBERED_LINES) lines.shift();
      log(line);
      for (const reader of readers) reader(line);
    });
  }

  let running = true;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  }).finally(() => {
    running = false;
  });
  const lastWords = () => (lines.length > 0 ? `; its last lines:\n${lines.slice(-QUOTED_LINES).join('\n')}` : '');

  return {
    pid: child.pid,
    ended,

    line(pattern, within) {
      return new Promise((resolve, reject) => {
        const settle = (act: () => void) => {
          clearTimeout(timer);
          readers.delete(read);
          act();
        };
        const read = (line: string) => {
          const match = line.match(pattern);
          if (match) settle(() => resolve(match));
        };
        const timer = setTimeout(() => {
          settle(() => reject(new Error(`${name} was not ready within ${within} ms${lastWords()}`)));
        }, within);
        readers.add(read);
        for (const line of lines) read(line);
        void ended.then((how) =>
          settle(() => reject(new Error(`${name} ended (${how}) before it was ready${lastWords()}`))),
        );
      });
    },

    signal(signal) {
      if (running) child.kill(signal);
    },

    async stop() {
      if (!running) return;
      child.kill(stopSignal);
      const force = setTimeout(() => child.kill('SIGKILL'), stopWithin);
      await ended;
      clearTimeout(force);
    },
  };
}
