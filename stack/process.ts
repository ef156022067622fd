import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type ServerProcess, type ServerProgram, startServerProcess } from '../broker/store/embedded/server-process.ts';

export type { ServerProcess } from '../broker/store/embedded/server-process.ts';

/** What to run, with its log kept in a file. */
export interface LoggedProgram extends Omit<ServerProgram, 'log'> {
  /** Receives all that it writes; its folder is made, an older file is continued. */
  readonly logFile: string;
}

/**
 * Starts a program as a server that ends with this process at the latest, and keeps its log.
 * Wait for it with `line(…)` or by polling; end it with `stop()`.
 */
export function startProcess({ logFile, ...program }: LoggedProgram): ServerProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  const file = createWriteStream(logFile, { flags: 'a' });
  const server = startServerProcess({ ...program, log: (line) => file.write(`${line}\n`) });
  void server.ended.then(() => file.end());
  return server;
}
