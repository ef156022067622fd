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

/** The environment that gives Google's libraries a credential file, and nothing else to find. */
export function fileEnvironment(path: string): Record<string, string> {
  return { ...workerEnvironment('http://127.0.0.1:1'), GOOGLE_APPLICATION_CREDENTIALS: path };
}

/** Runs a program to its end and reads the JSON that it prints. */
export async function runWorker<T>(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<T> {
  const { stdout } = await promisify(execFile)(command, [...args], { env });
  return JSON.parse(stdout) as T;
}

/** Tells the path of every request to a server of this process, as Node itself reports it, until `end`. */
export function requestLog(url: string, told: (path: string) => void): { end(): void } {
  const port = Number(new URL(url).port);
  const note = (message: unknown) => {
    const { request } = message as { request: IncomingMessage };
    if (request.socket.localPort === port) told(request.url ?? '');
  };
  subscribe('http.server.request.start', note);
  return { end: () => void unsubscribe('http.server.request.start', note) };
}

/** Notes the path of every request to a server of this process until the end of the scope. */
export function useRequestLog(scope: Scope, url: string): string[] {
  const paths: string[] = [];
  const { end } = requestLog(url, (path) => paths.push(path));
  atEnd(scope, end);
  return paths;
}
