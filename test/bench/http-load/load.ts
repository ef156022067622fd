/** Starts the load generator, and a bare server to compare with, as processes of their own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { atEnd, type Scope } from '../../support/scope.ts';
import type { Load, Loaded } from './generator.ts';

/** Loads a server and answers what came of it. */
export type RunLoad = (load: Load) => Promise<Loaded>;

export function useLoadGenerator(scope: Scope): RunLoad {
  const child = forkHere(scope, 'generator.ts');
  return async (load) => {
    child.send(load);
    const [told] = (await once(child, 'message')) as [{ loaded?: Loaded; failure?: string }];
    if (!told.loaded) throw new Error(told.failure);
    return told.loaded;
  };
}

/** Starts `node:http` with one constant answer of so many bytes; resolves to its port. */
export async function useBareServer(scope: Scope, bytes: number): Promise<number> {
  const child = forkHere(scope, 'bare-server.ts', String(bytes));
  const [port] = (await once(child, 'message')) as [number];
  return port;
}

function forkHere(scope: Scope, file: string, ...args: readonly string[]) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: [] });
  atEnd(scope, async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  });
  return child;
}
