/** The machine that the sidecar runs on: how Node.js is started, core dumps, and a sidecar that runs already or its ports. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import * as z from 'zod';
import type { Environment, LocalConfig } from '../config.ts';
import type { ListenAddress } from '../endpoints/listen.ts';
import { refusedOptions } from '../process/refused-options.ts';
import { type Finding, trap, well } from './finding.ts';
import { get } from './get.ts';

const obstacles = z.array(z.object({ code: z.string(), next: z.string() }));
const readiness = z.object({ ready: z.boolean(), obstacles, degraded: obstacles });

export async function examineProcess(
  execArgv: readonly string[],
  environment: Environment,
): Promise<readonly Finding[]> {
  const pattern = await readFile('/proc/sys/kernel/core_pattern', 'utf8').catch(() => '');
  return [
    ...refusedOptions(execArgv, environment).map((problem) => trap('NODE_OPTIONS_REFUSED', `${problem}.`)),
    ...examineCorePattern(pattern),
  ];
}

/** Whether core dumps go to a program: `kernel.core_pattern` begins with a bar. */
export function examineCorePattern(pattern: string): readonly Finding[] {
  if (!pattern.startsWith('|')) return [];
  return [trap('CORE_PATTERN_PIPED', `It is ${pattern.slice(1).trim().split(' ')[0]}.`)];
}

/** What the running sidecar says of itself; where none runs, whether its ports are free. */
export async function examineSidecar(config: LocalConfig): Promise<readonly Finding[]> {
  const answer = await get(`${urlOf(config.operationsListen)}/readyz`);
  const told = readiness.safeParse(jsonOf(answer?.text)).data;
  if (told) return ofRunning(told);
  const wanted: readonly (readonly [name: string, address: ListenAddress])[] = [
    ['SIDECAR_LISTEN', config.listen],
    ['SIDECAR_OPERATIONS_LISTEN', config.operationsListen],
    ...[...config.gceChannels].map(
      ([channel, port]) => [`SIDECAR_GCE_CHANNELS, ${channel}`, { host: config.listen.host, port }] as const,
    ),
  ];
  const tried = await Promise.all(
    wanted.map(async ([name, address]) => ({ name, address, problem: await problemOf(address) })),
  );
  const found = tried.filter(({ problem }) => problem !== undefined);
  if (found.length === 0) return [well('PORTS', 'No sidecar runs here, and its ports are free.')];
  return found.map(({ name, address, problem }) =>
    trap('PORT_TAKEN', `It is ${address.host}:${address.port} (${name}): ${problem}.`),
  );
}

/** Whether a sidecar answers where this environment sends Google's libraries. */
export async function examineMetadataHost(environment: Environment): Promise<readonly Finding[]> {
  const host = environment.GCE_METADATA_HOST;
  if (host === undefined) return [];
  const answer = await get(`http://${host}/computeMetadata/v1/instance/`, { 'Metadata-Flavor': 'Google' });
  if (answer?.headers['metadata-flavor'] === 'Google')
    return [well('METADATA_HOST', `A metadata server answers at ${host}.`)];
  return [trap('METADATA_HOST_SILENT', `It is ${host}.`)];
}

function ofRunning({ ready, obstacles, degraded }: z.output<typeof readiness>): readonly Finding[] {
  const lines = (list: typeof obstacles) => list.map(({ code, next }) => `${code}: ${next}`).join(' ');
  if (!ready) return [trap('SIDECAR_NOT_READY', lines(obstacles))];
  if (degraded.length > 0) return [trap('SIDECAR_DEGRADED', lines(degraded))];
  return [well('SIDECAR', 'A sidecar runs here and can serve.')];
}

/** Tries to listen, for a moment; undefined where that goes. */
function problemOf({ host, port }: ListenAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port, exclusive: true }, () =>
      server.close(() => resolve(undefined)),
    );
  });
}

/** As a program of this machine reaches it. */
function urlOf({ host, port }: ListenAddress): string {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '[::]' ? '[::1]' : host;
  return `http://${reached}:${port}`;
}

function jsonOf(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
