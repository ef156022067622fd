/** Runs the broker as a process: configuration, log, signals. */
import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { startBroker } from './broker.ts';
import { loadConfig, loadDatabaseConfig } from './config.ts';
import { type ApplyRetention, createApplyRetention } from './flow/apply-retention.ts';
import { createPruneAudit, type PruneAudit, type PrunePlan, type PruneResult } from './flow/prune-audit.ts';
import { createLog } from './observability/log.ts';
import type { RetentionCount } from './ports.ts';
import { type Migrated, migrateStore, openStore } from './store/open-store.ts';
import { openAuditPruning } from './store/owner/open-audit-pruning.ts';

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

/** Counts what the retention would delete now. */
export function planRetention(environment: Environment): Promise<readonly RetentionCount[]> {
  return withRetention(environment, (retention) => retention.plan());
}

/** Deletes what is kept no longer, run by run until nothing is left; answers how many things that were. */
export function runRetention(environment: Environment, onRun: (soFar: number, total: number) => void): Promise<number> {
  return withRetention(environment, async (retention) => {
    const total = (await retention.plan()).reduce((sum, { count }) => sum + count, 0);
    let soFar = 0;
    for (;;) {
      const { deleted, more } = await retention.run({ kind: 'scheduler', requestId: randomUUID() });
      soFar += deleted;
      if (deleted > 0) onRun(soFar, Math.max(soFar, total));
      // A run that could delete nothing leaves it to the replica that was faster.
      if (!more || deleted === 0) return soFar;
    }
  });
}

async function withRetention<T>(environment: Environment, act: (retention: ApplyRetention) => Promise<T>): Promise<T> {
  const config = loadDatabaseConfig(environment);
  const store = await openStore({ ...config.store, log: createLog({ level: config.operations.logLevel }) });
  try {
    const { retention } = config;
    return await act(createApplyRetention({ store, clock: systemClock, retention, startedBy: 'command' }));
  } finally {
    await store.close();
  }
}

/** Looks what `broker audit prune` would delete now. */
export function planPrune(environment: Environment): Promise<PrunePlan> {
  return withPruning(environment, (prune) => prune.plan());
}

/** Deletes from the beginning of each audit chain what is kept no longer, as the owner of the tables. */
export function runPrune(
  environment: Environment,
  onBatch: (soFar: number, total: number) => void,
): Promise<PruneResult> {
  return withPruning(environment, (prune) => prune.run({ kind: 'scheduler', requestId: randomUUID() }, onBatch));
}

async function withPruning<T>(environment: Environment, act: (prune: PruneAudit) => Promise<T>): Promise<T> {
  const { store, retention, operations } = loadDatabaseConfig(environment);
  const pruning = await openAuditPruning({ ...store, log: createLog({ level: operations.logLevel }) });
  const { auditMs: retentionMs, auditBatch: mostPerBatch } = retention;
  const { databaseRole } = pruning;
  try {
    return await act(createPruneAudit({ pruning, clock: systemClock, retentionMs, mostPerBatch, databaseRole }));
  } finally {
    await pruning.close();
  }
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
