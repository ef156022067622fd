/**
 * The connection to Redis: the only import of ioredis. A cache must never make anybody wait: commands have a short
 * deadline, none is queued while there is no connection, and a server that stays silent is disconnected, so that the
 * commands after it fail at once.
 *
 * ioredis puts a command's arguments (AUTH's password too) on its errors: no error of its leaves this file.
 */
import { Redis } from 'ioredis';
import { BrokerError } from '../errors.ts';

/** Receives what an operator should know. */
export interface CacheLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface RedisOptions {
  /** `redis://…` or `rediss://…`; may hold a password and is never logged. */
  readonly url: string;
  /** Answers 0 to 1; spreads the reconnections of many brokers. */
  readonly random: () => number;
  readonly log: CacheLog;
  /** How long to wait for an answer, in milliseconds. */
  readonly commandTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

/** What the caches and the rate limits need of Redis. All methods throw STORE_UNAVAILABLE where it does not do as asked. */
export interface RedisConnection {
  get(key: string): Promise<Buffer | undefined>;
  /** Stores the value for `ttlMs` milliseconds. */
  set(key: string, value: Buffer, ttlMs: number): Promise<void>;
  delete(key: string): Promise<void>;
  /** Runs a Lua script that answers whole numbers. */
  evaluate(script: string, keys: readonly string[], args: readonly (string | number)[]): Promise<readonly number[]>;
  ping(): Promise<void>;
  close(): void;
}

const longestPauseMs = 2_000;

/** Connects in the background and for ever again; only the first attempt is waited for, by the first commands. */
export function createRedis({
  url,
  random,
  log,
  commandTimeoutMs = 250,
  connectTimeoutMs = 1_000,
}: RedisOptions): RedisConnection {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    socketTimeout: 2 * commandTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, longestPauseMs) * (0.5 + random() / 2),
  });

  /** What does not work at the moment, so that an outage is one line in the log and not one for each read. */
  const failing = new Set<string>();
  function failed(what: string, error: unknown): void {
    if (failing.has(what)) return;
    failing.add(what);
    log.warn({ what, reason: reasonOf(error) }, 'redis does not do as asked');
  }
  function worked(what: string): void {
    if (failing.delete(what)) log.info({ what }, 'redis does as asked again');
  }

  client.on('error', (error: unknown) => failed('connect', error));
  client.on('ready', () => worked('connect'));
  // Its failure is told by the event.
  const firstAttempt = client.connect().catch(() => {});

  async function command<T>(what: string, send: () => Promise<T>): Promise<T> {
    await firstAttempt;
    try {
      const answer = await send();
      worked(what);
      return answer;
    } catch (error) {
      failed(what, error);
      throw new BrokerError('STORE_UNAVAILABLE', { detail: `redis did not do ${what}: ${reasonOf(error)}` });
    }
  }

  return {
    get: async (key) => (await command('get', () => client.getBuffer(key))) ?? undefined,
    set: async (key, value, ttlMs) => void (await command('set', () => client.set(key, value, 'PX', ttlMs))),
    delete: async (key) => void (await command('del', () => client.del(key))),
    async evaluate(script, keys, args) {
      const answer = await command('eval', () => client.eval(script, keys.length, ...keys, ...args));
      return Array.isArray(answer) ? answer.map(Number) : [];
    },
    ping: async () => void (await command('ping', () => client.ping())),
    close: () => client.disconnect(),
  };
}

/** The first word of Redis's answer (READONLY, NOAUTH, OOM …), or the code of the fault in the connection. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if (error.name === 'ReplyError') return error.message.split(' ', 1)[0] ?? error.name;
  return 'code' in error && typeof error.code === 'string' ? error.code : 'no connection or no answer';
}
