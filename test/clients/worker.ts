/** Runs a worker as a process of its own, and notes what reaches the sidecar from it. */
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { atEnd, type Scope } from '../support/scope.ts';

/** The environment that points Google's libraries at a sidecar's metadata port, and at nothing else. */
export function workerEnvironment(gceUrl: string): Record<string, string> {
  const { host } = new URL(gceUrl);
  return {
    GCE_METADATA_HOST: host,
    GCE_METADATA_IP: host,
    GCE_METADATA_ROOT: host,
    METADATA_SERVER_DETECTION: 'assume-present',
    GCE_METADATA_MTLS_MODE: 'none',
    GOOGLE_CLOUD_PROJECT: 'no-project',
    CLOUDSDK_CONFIG: '/nonexistent',
    NO_PROXY: '127.0.0.1,localhost',
    // A proxy of the machine, which must not be asked.
    HTTP_PROXY: 'http://127.0.0.1:1',
    HTTPS_PROXY: 'http://127.0.0.1:1',
  };
}

/** Runs a program to its end and reads the JSON that it prints. */
export async function runWorker<T>(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<T> {
  const { stdout } = await promisify(execFile)(command, [...args], { env });
  return JSON.parse(stdout) as T;
}

/** Notes the path of every request to a server of this process, as Node itself reports it. */
export function useRequestLog(scope: Scope, url: string): string[] {
  const paths: string[] = [];
  const port = Number(new URL(url).port);
  const note = (message: unknown) => {
    const { request } = message as { request: IncomingMessage };
    if (request.socket.localPort === port) paths.push(request.url ?? '');
  };
  subscribe('http.server.request.start', note);
  atEnd(scope, async () => void unsubscribe('http.server.request.start', note));
  return paths;
}
