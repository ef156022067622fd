import { join } from 'node:path';
import { findRedis } from './find-server.mjs';
import { freePort } from './free-port.ts';
import { type ServerProcess, startProcess } from './process.ts';

const READY_WITHIN_MS = 30_000;

/** Where a Redis server of our own keeps its files. */
export interface RedisOptions {
  /** Holds its log. */
  readonly directory: string;
  /** This machine's environment, for finding the binary. */
  readonly env: NodeJS.ProcessEnv;
  /** What clients must give; none is asked where not given. */
  readonly password?: string;
}

/** A real Redis server that keeps nothing on disk. */
export interface Redis {
  /** `redis://[:PASSWORD@]127.0.0.1:PORT`. */
  readonly url: string;
  /** Holds it still: connections stay open and nothing is answered, until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends it; connections break and new ones are refused. */
  stop(): Promise<void>;
  /** Starts it again after `stop`, empty, on the same port. */
  start(): Promise<void>;
}

/** Starts Redis on a free port. Rejects, quoting its log, when there is none on this machine or it does not come up. */
export async function startRedis({ directory, env, password }: RedisOptions): Promise<Redis> {
  const command = findRedis(env);
  if (command === undefined)
    throw new Error('there is no redis-server on this machine: run `node stack/install.mjs start`');
  const port = await freePort();
  let server: ServerProcess;

  const start = async () => {
    server = startProcess({
      name: 'the redis server',
      command,
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--databases', '512'],
        ...(password === undefined ? [] : ['--requirepass', password]),
      ],
      env: { PATH: env.PATH },
      cwd: directory,
      logFile: join(directory, 'redis.log'),
    });
    try {
      await server.line(/ready to accept connections/i, READY_WITHIN_MS);
    } catch (error) {
      await server.stop();
      throw error;
    }
  };
  await start();

  return {
    url: `redis://${password === undefined ? '' : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    stop: () => {
      server.signal('SIGCONT');
      return server.stop();
    },
    start,
  };
}
