/** The only import of pino in the sidecar: one line of JSON for each thing that happened. */
import { destination, pino } from 'pino';

/** Facts go into fields, the message is constant; never a token, a key or a secret id. */
export type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  info(facts: Facts, message: string): void;
  warn(facts: Facts, message: string): void;
  error(facts: Facts, message: string): void;
}

/** The log of the process. */
export interface ProcessLog extends Log {
  /** Writes lines of the level `info` that are whole already, between the others. */
  lines(text: string): void;
}

/** Bytes that wait for room; what comes then is lost. */
const mostUnwritten = 2 ** 20;

/** Makes the log of the process, on standard output (1) or, where that belongs to a worker, on standard error (2). */
export function createLog(fd: 1 | 2 = 1, level: 'info' | 'warn' = 'info'): ProcessLog {
  const output = destination({ fd, sync: true, maxLength: mostUnwritten });
  // Where it cannot be written, on a full disk for example, lines are lost and nothing else: whoever logs goes on.
  output.on('error', () => {});
  const lines = (text: string) => void (level === 'info' && output.write(text));
  const options = {
    level,
    base: { service: 'sidecar' },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (level: string) => ({ level }) },
  };
  return Object.assign(pino(options, output), { lines });
}

/** The messages of an error and its causes, as one field. No stack: where it was thrown helps no operator. */
export function reasonOf(error: unknown): string {
  const reasons: string[] = [];
  for (let next = error; next instanceof Error && reasons.length < 5; next = next.cause) reasons.push(next.message);
  return reasons.length > 0 ? reasons.join(': ') : String(error);
}
