import { join } from 'node:path';
import { startServerProcess } from '../../broker/store/embedded/server-process.ts';
import type { Endpoints } from '../fake-google/openid.ts';
import { connectPracticeGoogle, type RemotePracticeGoogle } from '../fake-google/remote.ts';
import { compiledModules } from './compiled.ts';
import { atEnd, type Scope } from './scope.ts';

const main = join(import.meta.dirname, '../fake-google/main.ts');
const startsWithinMs = 20_000;

export interface PracticeGoogleProcess {
  readonly url: string;
  readonly endpoints: Endpoints;
  readonly pid: number;
  readonly remote: RemotePracticeGoogle;
}

/** Starts the practice Google as a process of its own, so that what it computes does not count as ours. */
export async function usePracticeGoogleProcess(scope: Scope): Promise<PracticeGoogleProcess> {
  const process_ = startServerProcess({
    name: 'the practice Google',
    command: process.execPath,
    args: [main],
    env: { ...compiledModules() },
    log: () => {},
  });
  atEnd(scope, process_.stop);
  const [line] = await process_.line(/^\{"url":.*/, startsWithinMs);
  const { url, endpoints } = JSON.parse(line) as { url: string; endpoints: Endpoints };
  if (process_.pid === undefined) throw new Error('the practice google has no process id');
  return { url, endpoints, pid: process_.pid, remote: connectPracticeGoogle(url) };
}
