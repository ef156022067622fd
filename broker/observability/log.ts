/**
 * The log: one JSON line per event on standard error. Messages are constants; facts go into fields. The only place that
 * imports pino.
 *
 * Secrets travel as `Secret`, which prints as `[secret]` by itself; fields that could carry one all the same are cut out
 * here by name, and errors are reduced to what an operator needs.
 */
import { type Logger, pino, stdSerializers } from 'pino';
import { BrokerError } from '../errors.ts';

export type Log = Pick<Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'>;

const secretFields = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'client_secret',
  'code',
  'code_verifier',
  'state',
].flatMap((name) => [`*.headers.${name}`, `*.body.${name}`, `*.query.${name}`]);

/** Bytes that wait for room; what comes then is lost. */
const mostUnwritten = 2 ** 20;

export function createLog(options: { level: string; destination?: { write(line: string): void } }): Log {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      redact: { paths: secretFields, censor: '[secret]' },
    },
    options.destination ?? standardError(),
  );
}

/** Where it cannot be written, on a full disk for example, lines are lost and nothing else: whoever logs goes on. */
function standardError() {
  const stream = pino.destination({ dest: 2, sync: true, maxLength: mostUnwritten });
  stream.on('error', () => {});
  return stream;
}

/** An error and what caused it, at most five deep: names, codes, messages and where it happened. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: typeof error };
  const { type, message, stack } = stdSerializers.err(error);
  return {
    type,
    message,
    ...(error instanceof BrokerError ? { code: error.code } : {}),
    ...(stack === undefined
      ? {}
      : {
          at: stack
            .split('\n')
            .slice(1, 6)
            .map((line: string) => line.trim()),
        }),
    ...(error.cause !== undefined && depth < 5 ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}
