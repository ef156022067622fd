/** Runs the broker as a process: configuration, log, signals. */
import process from 'node:process';
import { startBroker } from './broker.ts';
import { loadConfig, loadDatabaseConfig } from './config.ts';
import { createLog } from './observability/log.ts';
import { type Migrated, migrateStore } from './store/open-store.ts';

type Environment = Parameters<typeof loadConfig>[0];

const systemClock = { now: () => new Date() };

/** Serves until the first SIGTERM or SIGINT, which drains; a second one ends the process at once. */
export async function serve(environment: Environment, version: string): Promise<void> {
  const config = loadConfig(environment);
  const log = createLog({ level: config.operations.logLevel });
  const stopping = new AbortController();
  const stopped = signalled();
  void stopped.then(() => stopping.abort());
  const clocks = { clock: systemClock, identityClock: systemClock };
  try {
    const broker = await startBroker(config, { log, ...clocks, version, signal: stopping.signal });
    log.info({ signal: await stopped }, 'broker stops');
    await broker.stop();
  } catch (error) {
    // What the start was waiting for when it was told to end is no failure.
    if (!stopping.signal.aborted) throw error;
    log.info({ signal: await stopped }, 'broker stops');
  }
}

/** Brings the database to this version, as the owner of its tables. */
export async function migrate(environment: Environment): Promise<Migrated> {
  const config = loadDatabaseConfig(environment);
  return migrateStore({ ...config.store, log: createLog({ level: config.operations.logLevel }) });
}

function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(130));
        resolve(signal);
      });
    }
  });
}
