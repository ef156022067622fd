/**
 * The connection to Vault that the adapters of this room share: a token that is kept valid, deadlines, repeats where
 * they are safe, answers checked against a schema, and errors of the broker's table.
 *
 * All methods throw `BrokerError`: VAULT_SEALED, VAULT_UNAVAILABLE, VAULT_FORBIDDEN; INTERNAL for a `not_found` or
 * `bad_request` that the caller did not expect. The cause is a `VaultFailure`. An aborted signal throws its reason.
 */
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { Secret } from '../domain/secret.ts';
import type { Clock } from '../ports.ts';
import { backOff, type Wait } from './back-off.ts';
import { createVaultClient, type VaultCall } from './client.ts';
import type { VaultLogin } from './login.ts';
import { createTokenKeeper, type VaultHealth, type VaultLog } from './token-keeper.ts';
import { asVaultError, VaultFailure, vaultFailureOf } from './vault-failure.ts';

export interface VaultSettings {
  /** As in VAULT_ADDR. */
  readonly address: string;
  readonly namespace?: string;
  /** Replaces the system's certificate authorities. */
  readonly caCertPem?: string;
  readonly login: VaultLogin;
  /** Milliseconds for one call, its repeats included; a login that it has to wait for has as long again. */
  readonly deadlineMs?: number;
  readonly clock: Clock;
  /** Answers 0 to 1. */
  readonly random: () => number;
  readonly wait?: Wait;
  readonly log?: VaultLog;
}

export interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** For work that can wait: Vault has one such request at a time, and nobody else waits for it. */
  readonly inTurn?: boolean;
}

export interface VaultConnection {
  /** Reads `data`. */
  read<T>(path: string, data: z.ZodType<T>, options?: CallOptions): Promise<T>;
  /** Reads `data`; undefined where nothing is there. */
  find<T>(path: string, data: z.ZodType<T>, options?: CallOptions): Promise<T | undefined>;
  /** Lists keys; empty where nothing is there. */
  list(path: string, options?: CallOptions): Promise<readonly string[]>;
  /** Has Vault compute something that changes nothing (encrypt, sign): repeated after a passing failure. */
  compute<T>(
    path: string,
    body: Readonly<Record<string, unknown>>,
    data: z.ZodType<T>,
    options?: CallOptions,
  ): Promise<T>;
  /** Writes, once, and answers `data`, which is undefined where Vault says nothing. */
  write<T = unknown>(
    path: string,
    body: Readonly<Record<string, unknown>>,
    data?: z.ZodType<T>,
    options?: CallOptions,
  ): Promise<T>;
  /** Writes, once, and answers a token that opens what Vault said, once and within so many seconds. */
  wrap(path: string, body: Readonly<Record<string, unknown>>, seconds: number): Promise<Secret<string>>;
  delete(path: string, options?: CallOptions): Promise<void>;
  /** Answers where an unsealed Vault serves and a token is at hand. */
  check(options?: CallOptions): Promise<void>;
  health(): VaultHealth;
  /** Ends timers and connections; revokes the token where this connection's login made it. */
  close(): Promise<void>;
}

const attempts = 3;
const renewAnswer = z.object({ auth: z.object({ lease_duration: z.number() }) });
const wrapped = z.object({ wrap_info: z.object({ token: z.string() }) });
const keys = z.object({ keys: z.array(z.string()) });
const serving = z.object({ sealed: z.boolean(), initialized: z.boolean() });
const silent: VaultLog = { info: () => undefined, warn: () => undefined };

/** Makes the connection; nothing is sent before the first call. */
export function createVaultConnection(settings: VaultSettings): VaultConnection {
  const { login, clock, random, deadlineMs = 5_000, wait = waitWithTimer, log = silent } = settings;
  const client = createVaultClient(settings);
  const tokens = createTokenKeeper({
    logIn: () => login((call) => client.send({ ...call, deadlineMs })),
    renew: async (token) => {
      const answer = await client.send({ method: 'POST', path: 'auth/token/renew-self', body: {}, token, deadlineMs });
      return parse(renewAnswer, answer, 'auth/token/renew-self').auth.lease_duration;
    },
    revoke: async (token) => {
      await client.send({ method: 'POST', path: 'auth/token/revoke-self', body: {}, token, deadlineMs });
    },
    clock,
    random,
    wait,
    log,
  });

  type Call = Pick<VaultCall, 'method' | 'path' | 'body' | 'wrapSeconds'> & {
    readonly options?: CallOptions | undefined;
  };

  async function sendOnce(call: VaultCall): Promise<unknown> {
    const token = await tokens.current();
    try {
      return await client.send({ ...call, token });
    } catch (error) {
      if (vaultFailureOf(error)?.kind !== 'forbidden') throw error;
      const other = await tokens.replace(token);
      if (!other) throw error;
      return client.send({ ...call, token: other });
    }
  }

  async function send({ options, ...request }: Call, repeatable: boolean): Promise<unknown> {
    const endsAt = clock.now().getTime() + (options?.deadlineMs ?? deadlineMs);
    const signal = options?.signal;
    for (let failures = 1; ; failures++) {
      const left = Math.max(1, endsAt - clock.now().getTime());
      try {
        return await sendOnce({ ...request, deadlineMs: left, signal, inTurn: options?.inTurn });
      } catch (error) {
        const failure = vaultFailureOf(error);
        if (!failure) throw error;
        const pause = backOff(failures, random);
        const isLast = failures === attempts || clock.now().getTime() + pause >= endsAt;
        if (!repeatable || !failure.isPassing || isLast) throw asVaultError(failure);
        await wait(pause, signal ?? new AbortController().signal).catch(() => signal?.throwIfAborted());
      }
    }
  }

  async function find<T>(path: string, data: z.ZodType<T>, options?: CallOptions): Promise<T | undefined> {
    const body = await send({ method: 'GET', path, options }, true).catch(missing);
    return body === undefined ? undefined : dataOf(data, body, path);
  }

  return {
    find,
    async read(path, data, options) {
      return dataOf(data, await send({ method: 'GET', path, options }, true), path);
    },
    async list(path, options) {
      // Not Vault's own verb LIST, which many a load balancer refuses.
      const body = await send({ method: 'GET', path: `${path}?list=true`, options }, true).catch(missing);
      return body === undefined ? [] : dataOf(keys, body, path).keys;
    },
    async compute(path, body, data, options) {
      return dataOf(data, await send({ method: 'POST', path, body, options }, true), path);
    },
    async write<T>(path: string, body: Readonly<Record<string, unknown>>, data?: z.ZodType<T>, options?: CallOptions) {
      const answer = await send({ method: 'POST', path, body, options }, false);
      return dataOf(data ?? (z.unknown() as z.ZodType<T>), answer, path);
    },
    async wrap(path, body, seconds) {
      const answer = await send({ method: 'POST', path, body, wrapSeconds: seconds }, false);
      return new Secret(parseOrThrow(wrapped, answer, path).wrap_info.token);
    },
    async delete(path, options) {
      await send({ method: 'DELETE', path, options }, false);
    },
    async check(options) {
      // node-vault takes every status of sys/health for an answer; its fields tell what it is.
      const path = 'sys/health?standbyok=true&perfstandbyok=true';
      const body = await send({ method: 'GET', path, options }, true);
      const { sealed, initialized } = parseOrThrow(serving, body, 'sys/health');
      if (sealed) throw asVaultError(new VaultFailure('sealed', 'vault is sealed'));
      if (!initialized) throw asVaultError(new VaultFailure('standby', 'vault is not initialised'));
    },
    health: tokens.health,
    async close() {
      await tokens.close();
      client.close();
    },
  };
}

function missing(error: unknown): undefined {
  if (vaultFailureOf(error)?.kind !== 'not_found') throw error;
}

const waitWithTimer: Wait = (ms, signal) => setTimeout(ms, undefined, { signal });

function dataOf<T>(data: z.ZodType<T>, body: unknown, path: string): T {
  const envelope = z.object({ data: z.unknown() }).safeParse(body);
  return parseOrThrow(data, envelope.data?.data, path);
}

function parseOrThrow<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  try {
    return parse(schema, value, path);
  } catch (error) {
    const failure = vaultFailureOf(error);
    throw failure ? asVaultError(failure) : error;
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, path: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join('.') || 'data').join(', ');
  throw new VaultFailure('unexpected_answer', `the answer to ${path} has not the form expected`, {
    problems: [`look at: ${fields}`],
  });
}
