/** Starts the real parts, each as a process of its own that ends with this one, and our two programs on top of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../stack/free-port.ts';
import { startPostgres } from '../stack/postgres.ts';
import { giveToOwner, urlAs } from '../stack/postgres-roles.ts';
import { startProcess } from '../stack/process.ts';
import { startRedis } from '../stack/redis.ts';
import { startVault, type Vault } from '../stack/vault.ts';

const house = fileURLToPath(new URL('..', import.meta.url));
const readyWithinMs = 60_000;

/** Where our programs are started from. */
export const brokerMain = join(house, 'broker/main.ts');
/** What every part has written; kept after the end. */
export const logFolder = join(house, '.data/demo-logs');

export interface Parts {
  readonly vault: Vault;
  /** As the role that the broker runs as. */
  readonly databaseUrl: string;
  /** As the owner of the tables. */
  readonly databaseOwnerUrl: string;
  readonly redisUrl: string;
  /** For credentials and other files of this run; gone at the end. */
  readonly folder: string;
}

/** Opened things, closed in reverse. */
export interface Closers {
  push(close: () => Promise<unknown>): void;
}

export async function startParts(closers: Closers, env: NodeJS.ProcessEnv): Promise<Parts> {
  const folder = await mkdtemp(join(tmpdir(), 'token-broker-demo-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const started = [
    startVault({ directory: folder, env }),
    startPostgres({ log: () => undefined }),
    startRedis({ directory: folder, env }),
  ] as const;
  // At once: one that is still starting is ended too, after an interruption as after a failure of another.
  for (const part of started)
    closers.push(() =>
      part.then(
        (running) => running.stop(),
        () => undefined,
      ),
    );
  const [vault, postgres, redis] = await Promise.all(started);
  const superuser = postgres.url('postgres');
  await giveToOwner(superuser, 'postgres');
  return {
    vault,
    databaseUrl: urlAs('runtime', superuser, 'postgres'),
    databaseOwnerUrl: urlAs('owner', superuser, 'postgres'),
    redisUrl: redis.url,
    folder,
  };
}

/** Starts the practice Google and answers when it listens. */
export async function startPracticeGoogleProcess(closers: Closers, port: number): Promise<string> {
  const google = startProcess({
    name: 'the practice Google',
    command: process.execPath,
    args: [join(house, 'test/fake-google/main.ts'), '--port', String(port)],
    env: { PATH: process.env.PATH },
    logFile: join(logFolder, 'practice-google.log'),
  });
  closers.push(() => google.stop());
  const [, url = ''] = await google.line(/"url":"([^"]+)"/, readyWithinMs);
  return url;
}

export interface RunningBroker {
  readonly grpcPort: number;
  readonly operationsUrl: string;
}

/** Starts `broker serve` and answers when it serves. */
export async function startBrokerProcess(closers: Closers, settings: Record<string, string>): Promise<RunningBroker> {
  const [grpcPort, operationsPort] = [await freePort(), await freePort()];
  const broker = startProcess({
    name: 'the broker',
    command: process.execPath,
    args: [brokerMain, 'serve'],
    env: {
      PATH: process.env.PATH,
      BROKER_GRPC_LISTEN: `127.0.0.1:${grpcPort}`,
      BROKER_OPERATIONS_LISTEN: `127.0.0.1:${operationsPort}`,
      ...settings,
    },
    logFile: join(logFolder, 'broker.log'),
  });
  closers.push(() => broker.stop());
  await broker.line(/"msg":"broker serves"/, readyWithinMs);
  return { grpcPort, operationsUrl: `http://127.0.0.1:${operationsPort}` };
}

/** Starts `sidecar run` and answers when `/readyz` says that it can serve. */
export async function startSidecarProcess(closers: Closers, settings: Record<string, string>): Promise<void> {
  const operationsPort = await freePort();
  const sidecar = startProcess({
    name: 'the sidecar',
    command: process.execPath,
    args: [join(house, 'sidecar/main.ts'), 'run'],
    env: { PATH: process.env.PATH, SIDECAR_OPERATIONS_LISTEN: `127.0.0.1:${operationsPort}`, ...settings },
    logFile: join(logFolder, 'sidecar.log'),
  });
  closers.push(() => sidecar.stop());
  await sidecar.line(/the sidecar is listening/, readyWithinMs);
  await answersOk(`http://127.0.0.1:${operationsPort}/readyz`);
}

async function answersOk(url: string): Promise<void> {
  for (const end = Date.now() + readyWithinMs; Date.now() < end; await new Promise((go) => setTimeout(go, 50))) {
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok) return;
  }
  throw new Error(`${url} did not become ready`);
}
